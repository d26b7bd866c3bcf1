"""Exact sweeps of a given ReLU network along a line or circle."""
