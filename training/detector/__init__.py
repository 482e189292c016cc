"""How the plate detector is made: data, training, relabelling, export and evaluation."""
