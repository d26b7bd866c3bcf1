"""From an experiment to a finished run directory: execute, outcome, plan, inspect, report, distributed."""
