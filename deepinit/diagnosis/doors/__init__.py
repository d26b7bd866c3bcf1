"""Networks of every kind as probes."""
