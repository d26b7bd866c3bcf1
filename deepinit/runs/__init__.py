"""Experiment -> finished run directory: execute, outcome, plan, inspect, report, distributed."""
