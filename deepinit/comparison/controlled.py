"""What control variates add to comparisons."""

from typing import TYPE_CHECKING

import numpy as np

from deepinit.core.results import Estimate

if TYPE_CHECKING:
    import xarray

SAVED = "variance_saved"
PLAIN = {"plain_mean": "mean", "plain_standard_error": "standard_error"}


def beside_controls(estimate: Estimate) -> dict[str, np.ndarray]:
    """Variables of a Dataset [layers, entries]; empty without controls."""
    if estimate.plain is None:
        return {}
    plain = {name: getattr(estimate.plain, field) for name, field in PLAIN.items()}
    return {**plain, SAVED: estimate.variance_saved}


def with_controls(dataset: "xarray.Dataset") -> "xarray.Dataset":
    """The Dataset with these variables, of plain values where it has none."""
    if SAVED in dataset:
        return dataset
    plain = {name: dataset[field] for name, field in PLAIN.items()}
    return dataset.assign({**plain, SAVED: dataset["mean"] * 0.0 + 1.0})


def saved_column(dataset: "xarray.Dataset") -> list[str]:
    """Title of a table's column; empty without controls."""
    return ["variance saved"] if SAVED in dataset else []


def saved_cell(layer: "xarray.Dataset") -> list[str]:
    """`53x`: squared plain standard error over the controlled one; empty without controls."""
    return [f"{float(layer[SAVED]):.3g}x"] if SAVED in layer else []
