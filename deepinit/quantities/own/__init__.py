"""Measurements of a `Network`: a user's own code."""
