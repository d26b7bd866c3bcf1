"""Benchmarks of deepinit: scripts that run by themselves, and a runner of all of them (`python -m benchmarks`)."""
