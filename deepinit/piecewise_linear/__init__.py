"""Exact sweeps of a given ReLU network: its linear regions along a curve or a polygon, and the lengths of images."""
