"""How the shipped models are made. Not a part of the product: nothing in ``src`` imports it."""
