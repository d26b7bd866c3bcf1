"""Paths that tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
TINY_EXPERIMENT = SUPPORT / "tiny_experiment.py"
