"""``make bench``: speed and memory, each beside a floor or peer measured in the same run."""
