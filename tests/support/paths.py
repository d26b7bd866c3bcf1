"""Paths that tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY_EXPERIMENT = Path(__file__).with_name("tiny_experiment.py")
