"""The reader: a picture of a plate in, the probability of each character out."""
