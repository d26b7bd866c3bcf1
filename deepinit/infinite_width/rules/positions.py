"""Vectors of positions: random ones shared by inputs, or sinusoidal ones."""
