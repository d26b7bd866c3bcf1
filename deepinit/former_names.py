"""Names of development versions and their present names, for error messages."""

FORMER_NAMES = {
    "deepinit.Training": "deepinit.TrainingConfig",
    "deepinit.cores": "deepinit.devices",
    "deepinit.core.checks": "deepinit.core.validate",
    "deepinit.experiment": "deepinit.runs.experiment",
    "deepinit.outcome": "deepinit.runs.outcome",
    "deepinit.plan": "deepinit.runs.plan",
    "deepinit.report": "deepinit.runs.report",
    "deepinit.run": "deepinit.runs.execute",
    "deepinit.observables.metrics": "deepinit.random_maps.metrics",
    "deepinit.observables.iterates": "deepinit.random_maps.iterates",
    "deepinit.observables.region_sweep": "deepinit.piecewise_linear.region_sweep",
    "deepinit.theory.kernel_walk": "deepinit.theory.angles.kernel_propagation",
    "deepinit.theory.mixed_moments": "deepinit.theory.angles.mixed_moments",
    "deepinit.theory.pair_cumulants": "deepinit.theory.angles.pair_cumulants",
}


def present_name(former: str) -> str | None:
    """One sentence with the present name; None for a name that never was."""
    present = FORMER_NAMES.get(former)
    return None if present is None else f"{former} is now called {present}."
