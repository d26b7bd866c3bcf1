"""Results of cases from given numbers, without networks."""

import dataclasses

import numpy as np

import deepinit as di
from deepinit.comparison.compare import comparison
from deepinit.core.results import Estimate, Prediction
from deepinit.runs.experiment import Case, CaseResult

QUANTITY = di.quantities.log_sin2_angle


def case_result(name, deviations, *, num_seeds=1000, num_layers=3, case=None, **missing):
    """A case measured at 0 with standard error 1 in `num_layers` layers.

    `deviations`: theory -> z in the last layer (0 before); None: no standard error there.
    """
    error = np.ones((num_layers, 1))
    estimate = Estimate(
        quantity=QUANTITY.name,
        mean=np.zeros((num_layers, 1)),
        standard_error=error,
        variance=num_seeds * error,
        variance_standard_error=error,
        skewness=0 * error,
        minimum=-error,
        maximum=error,
        quantiles=np.zeros((7, num_layers, 1)),
        num_seeds=num_seeds,
        events={},
        symbol=QUANTITY.symbol,
        settings={"dtype": "float32"},
    )
    if None in deviations.values():
        estimate = dataclasses.replace(estimate, standard_error=0 * error, variance=0 * error)
    predictions = tuple(
        Prediction(
            QUANTITY.name,
            theory,
            np.array([[0.0]] * (num_layers - 1) + [[-1.0 if z is None else -z]]),
            None,
            "O(1/width)",
            "wide networks",
            "",
        )
        for theory, z in deviations.items()
    )
    given = {"theories": tuple(deviations)} | (case or {})
    described = Case(
        name, di.MLP((8,) * num_layers), QUANTITY, di.inputs.pair(1.0), num_seeds, **given
    )
    dataset = comparison(estimate, predictions).dataset
    dataset.attrs.update(label=name, symbol=QUANTITY.symbol)
    return CaseResult(described, estimate, predictions, dataset, {}, missing)
