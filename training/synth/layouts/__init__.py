"""Plate layouts by region: one function draws one kind of plate."""
