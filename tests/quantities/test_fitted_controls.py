"""The fitted weight of tanh networks of width 16: smaller errors, the same mean."""

import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.ensembles import blocks, controlled, keys, statistics
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.measured import values_of
from deepinit.quantities.programs import seed_fn_of

ARGUMENTS = di.MLP((16,) * 4, "tanh"), di.quantities.nngp, di.inputs.pair(1.0)
NETWORKS, SMALL = 60_000, 200

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def networks():
    """Values, controls and pasts [networks, entries] of the last layer; the centre."""
    control, _ = choose_control(*ARGUMENTS, "theory")
    seed_fn, _ = seed_fn_of(*ARGUMENTS, control=control)
    ensemble = blocks.compile_ensemble(seed_fn, NETWORKS, block_size=NETWORKS)
    measured = ensemble.block_fn(keys.root_key(0), 0)
    mean, square, past = (part[:, -1] for part in control.of_block(measured.columns))
    return (values_of(ARGUMENTS[1], measured)[:, -1], mean, square, past), control.centre[-1]


def estimate(networks, chosen=slice(None), *, fitted=True):
    """Mean and standard error."""
    arrays, centre = networks
    values, mean, square, past = (array[chosen] for array in arrays)
    events = np.zeros(values.shape, int)
    plain = statistics.statistics(values, events, 1, histogram=False)
    part = controlled.controlled(
        plain, values, events, mean, square, centre, past if fitted else None
    )
    found = controlled.estimates("nngp", part, ("not_finite",))[1]
    return found.mean, found.standard_error


def test_errors_are_smaller_and_the_mean_is_that_of_the_weight_1(networks):
    (mean, error), (fixed, fixed_error) = (estimate(networks, fitted=each) for each in (1, 0))
    assert (error < 0.97 * fixed_error).all()
    # the fit takes away what is independent of the rest
    assert (np.abs(mean - fixed) < 5 * np.sqrt(fixed_error**2 - error**2)).all()


def test_small_ensembles_are_unbiased_with_the_stated_error(networks):
    exact, _ = estimate(networks, fitted=False)
    cuts = range(0, NETWORKS, SMALL)
    found = np.array([estimate(networks, slice(at, at + SMALL)) for at in cuts])
    means, errors = found[:, 0], found[:, 1]
    spread = means.std(axis=0, ddof=1)
    of_mean = spread / len(means) ** 0.5
    assert_value(means.mean(axis=0), of_mean, exact, rejects=exact + 0.5 * spread)
    stated = np.sqrt(np.mean(errors**2, axis=0))
    of_spread = (2 * len(means)) ** -0.5
    assert_value(spread / stated, np.full(3, of_spread), 1.0, rejects=1.4)
