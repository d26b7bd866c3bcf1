"""Finite-width predictions: numbers in, numbers out, no randomness and no simulation.

One result per file. Nothing here calls the simulator, so that the two can check each other.
"""
