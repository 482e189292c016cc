"""Synthetic number plates, and the cameras that see them, for training reader and detector."""
