"""Exact sweeps of a ReLU network along a line or circle."""
