"""Checks of transformers: laws of rank collapse and heads, with their rivals rejected."""

from deepinit.runs.experiment import Check, Results

from .analysis import verdicts
from .cases import Config


def checks(config: Config, results: Results) -> list[Check]:
    """One check per law."""
    return [
        Check(
            f"{each.name}, {each.law}: z {each.z(each.predicted):.1f}; "
            + ", ".join(f"{name} at z {each.z(value):.0f}" for name, value in each.rivals.items())
            + ("." if each.held else ": NOT SO."),
            each.held,
        )
        for each in verdicts(config, results)
    ]
