"""Checks of finite_width: slopes in 1/width."""

from deepinit.runs.experiment import Check, Results

from .cases import Config
from .tables import Slope, slopes


def checks(config: Config, results: Results) -> list[Check]:
    """One slope a network."""
    return [slope_check(found) for found in slopes(config, results).values()]


def slope_check(found: Slope) -> Check:
    """Order 1/width against the fitted slope."""
    ending = "" if found.held else ": NOT SO"
    return Check(
        f"{found.label}: the slope of the mean in 1/width is that of order 1/width "
        f"(|z| <= {found.z:.1f}; slope 0: {found.zero_z:.0f}){ending}.",
        found.held,
    )
