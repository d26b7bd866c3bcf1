"""Diagnosis before training: scores of a network at initialization, and what they predict."""
