"""Empirical NTK between two lists, by outputs, in blocks: against the dense Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.infinite_width.empirical import empirical_ntk
from deepinit.infinite_width.precision import host_float64

RNG = np.random.default_rng(0)
X, X2 = RNG.standard_normal((5, 3)), RNG.standard_normal((2, 3))
PARAMS = {"w": RNG.standard_normal((3, 4)), "v": RNG.standard_normal((4, 2))}
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def apply_fn(params, x):
    return jnp.tanh(x @ params["w"]) @ params["v"]


@pytest.fixture(scope="module")
def exact():
    """[7, 7, 2, 2] over X and X2."""
    with host_float64():
        jacobian = jax.jacobian(lambda p: apply_fn(p, np.concatenate([X, X2])))(PARAMS)
        flat = np.concatenate([np.asarray(part).reshape(7, 2, -1) for part in jacobian.values()], 2)
    return np.einsum("akp,blp->abkl", flat, flat)


@pytest.mark.slow_cases("mean-None")
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("outputs", ["mean", "each", "pairs"])
def test_two_lists_and_outputs(exact, outputs, batch):
    parts = {
        "mean": np.trace(exact, axis1=2, axis2=3) / 2,
        "each": np.diagonal(exact, axis1=2, axis2=3),
        "pairs": exact,
    }
    settings = {"outputs": outputs, "batch": batch}
    found = empirical_ntk(apply_fn, PARAMS, X, X2, **settings)
    np.testing.assert_allclose(found, parts[outputs][:5, 5:], **TOLERANCE)
    found = empirical_ntk(apply_fn, PARAMS, X, **settings)
    np.testing.assert_allclose(found, parts[outputs][:5, :5], **TOLERANCE)


def test_the_diagonal(exact):
    found = empirical_ntk(apply_fn, PARAMS, X, diagonal=True, outputs="pairs")
    np.testing.assert_allclose(found, exact[np.arange(5), np.arange(5)], **TOLERANCE)
    with pytest.raises(SpecError, match="x2=None"):
        empirical_ntk(apply_fn, PARAMS, X, X2, diagonal=True)
