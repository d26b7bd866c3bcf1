"""First layers of more rows than the others: patches of images."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.quantities.controlled import choose_control
from deepinit.theory.layers import check

L = di.layers
IMAGE = np.random.default_rng(0).normal(size=(4, 4, 3))
TAIL = (L.Positions(), L.Residual(L.Sequential(L.RMSNorm(), L.Dense(8))), L.Dense(8))
PATCHED = L.Sequential(L.Conv(8, 2, 2, "valid"), *TAIL)


def patches(image):
    """[4, 12]."""
    return image.reshape(2, 2, 2, 2, 3).swapaxes(1, 2).reshape(4, 12)


@pytest.mark.slow
def test_patches_are_rows():
    """An image of 16 rows, and its 4 patches; another image is rejected."""
    of = lambda net, rows: di.predict(net, di.quantities.token_cosine, di.inputs.arranged(rows))
    found = of(PATCHED, IMAGE[None])
    rows = L.Sequential(L.Dense(8), *TAIL)
    expected, rival = (of(rows, patches(part)[None]) for part in (IMAGE, IMAGE**2))
    for field in ("mean", "variance"):
        one, other, wrong = (getattr(part, field) for part in (found, expected, rival))
        np.testing.assert_allclose(one, other, rtol=1e-9)
        assert np.abs(wrong / other - 1).max() > 1e-3


REFUSED = {
    "16 rows": (L.RMSNorm(), L.Conv(8, 2, 2, "valid")),
    "at most 8": (L.Conv(8, 1), L.Activation("tanh")),
    "1600 rows": (L.Conv(8, 20, 20, "valid"),),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refused(words):
    side = 40 if words == "1600 rows" else 4
    with pytest.raises(SpecError, match=words):
        check(program(L.Sequential(*REFUSED[words]), Shape((side, side), 3)))


def test_controls_of_many_rows_are_refused():
    with pytest.raises(SpecError, match="16 rows"):
        choose_control(
            PATCHED, di.quantities.token_cosine, di.inputs.arranged(IMAGE[None]), "theory"
        )
