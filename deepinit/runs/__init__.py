"""Experiments to finished run directories."""
