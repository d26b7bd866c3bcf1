"""Shapes and types of public signatures are checked while tests run (`support/shape_checks.py`)."""

import subprocess
import sys
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import shape_checks
from jaxtyping import TypeCheckError

from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.observables import orientations
from deepinit.theory import angles


class Pair(NamedTuple):
    rows: Float[Array, "n d"]
    norms: Float[Array, "n"]


def public(fn):
    """`fn` with the checks of a public function."""
    return shape_checks.jaxtyped(fn, typechecker=shape_checks.checked)


@pytest.mark.parametrize("array", [np.ones((2, 3)), jnp.ones((2, 3)), [[1, 1, 1], [1, 1, 1]]])
def test_arrays_of_the_declared_shape_are_accepted(array):
    def sums(rows: Real[Array, "n d"] | Plain) -> Float[Array, "n"]:
        return np.asarray(rows, float).sum(-1)

    assert public(sums)(array).shape == (2,)


def test_an_argument_of_another_shape_is_caught():
    def norms(rows: Real[Array, "n d"] | Plain) -> float:
        return float(np.linalg.norm(rows))

    with pytest.raises(TypeCheckError):
        public(norms)(np.ones(3))


def test_a_result_of_another_shape_is_caught():
    def sums(rows: Real[Array, "n d"]) -> Float[Array, "n"]:
        return rows.sum(0)

    with pytest.raises(TypeCheckError):
        public(sums)(np.ones((2, 3)))


def test_a_field_of_a_result_of_another_shape_is_caught():
    def pair(rows: Real[Array, "n d"]) -> Pair:
        return Pair(rows, rows.sum(0))

    with pytest.raises(TypeCheckError):
        public(pair)(np.ones((2, 3)))


def test_an_argument_of_another_type_is_caught():
    def name(activation: ActivationLike) -> str:
        return str(activation)

    with pytest.raises(TypeCheckError):
        public(name)(3)


def test_the_import_hook_checks_the_package():
    vectors, directions = np.ones((4, 3)), np.ones((2, 1))  # broadcasts, but is no direction
    with pytest.raises(TypeCheckError, match="angles_to"):
        orientations.angles_to(vectors, directions)


def test_a_refusal_stays_a_refusal():
    with pytest.raises(SpecError, match="rho"):
        angles.rho(np.array([3.0, 1.0j]))


def test_without_the_hook_neither_jaxtyping_nor_jax_is_imported():
    code = (
        "import sys, deepinit.core.typing, deepinit.core.inputs, deepinit.theory.condensation\n"
        "sys.exit(bool({'jax', 'jaxtyping', 'beartype'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
