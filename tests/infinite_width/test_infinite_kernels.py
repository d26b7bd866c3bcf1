import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import activations as act
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.specs import MLP
from deepinit.infinite_width.empirical import empirical_ntk
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.neural_tangents import layers
from deepinit.infinite_width.neural_tangents.layers import stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan

ROWS = np.vstack([np.random.default_rng(0).standard_normal((3, 7)), np.ones((1, 7))])
BIAS = normal(0.1, scaling="absolute")


@pytest.mark.parametrize(
    "activation",
    [act.relu, act.leaky_relu(0.2), act.absolute, act.linear, act.erf, act.sin, act.gelu],
    ids=repr,
)
@pytest.mark.slow_cases("absolute", "leaky_relu(negative_slope=0.2)", "linear")
@pytest.mark.exhaustive_cases("erf", "gelu", "relu", "sin")
def test_neural_tangents_and_the_recursion_agree(activation):
    spec = MLP((8,) * 3, activation, bias_law=BIAS, output_width=1)
    nngp, ntk = nngp_and_ntk(spec, ROWS)
    layers = kernel_layers(spec, ROWS)
    np.testing.assert_allclose(layers.nngp[-1], nngp, rtol=1e-7)
    np.testing.assert_allclose(layers.ntk[-1], ntk, rtol=1e-7)
    # the layer before the output, which a count of layers off by one would give
    assert np.abs(layers.ntk[-2] / ntk - 1.0).max() > 1e-2


@pytest.mark.parametrize(
    ("activation", "tolerance"),
    # Tolerances of neural-tangents' Gauss-Hermite rule, which converges like exp(-c sqrt(nodes)),
    # c proportional to the distance of the poles: pi / (2 std) for tanh, pi / std for the others.
    [(act.tanh, 1e-6), (act.sigmoid, 1e-8), (act.softplus, 1e-8)],
    ids=repr,
)
@pytest.mark.exhaustive
def test_numerical_activations_agree_to_the_error_of_gauss_hermite(activation, tolerance):
    spec = MLP((8,) * 3, activation, weight_law=normal(1.0), bias_law=BIAS)
    nngp, ntk = nngp_and_ntk(spec, ROWS)
    layers = kernel_layers(spec, ROWS)
    np.testing.assert_allclose(layers.nngp[-1], nngp, rtol=tolerance)
    np.testing.assert_allclose(layers.ntk[-1], ntk, rtol=tolerance)


@pytest.mark.slow
def test_the_error_of_neural_tangents_with_tanh_falls_with_its_nodes(monkeypatch):
    spec = MLP((8,) * 3, "tanh", weight_law=normal(1.0))
    exact = kernel_layers(spec, ROWS).ntk[-1]
    errors = []
    for nodes in (12, 48):
        monkeypatch.setattr(layers, "QUADRATURE_NODES", nodes)
        errors.append(np.abs(nngp_and_ntk(spec, ROWS)[1] / exact - 1.0).max())
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.slow
def test_unequal_layers_run_in_blocks_of_equal_ones():
    spec = MLP(
        (8, 8, 8, 3, 3), weight_law=Law("normal", 0.2, "absolute"), bias_law=BIAS, output_width=2
    )
    nngp, ntk = nngp_and_ntk(spec, ROWS)
    layers = kernel_layers(spec, ROWS)
    np.testing.assert_allclose(layers.nngp[-1], nngp, rtol=1e-7)
    np.testing.assert_allclose(layers.ntk[-1], ntk, rtol=1e-7)


def test_bad_inputs_are_refused():
    with pytest.raises(SpecError, match="One input a row"):
        nngp_and_ntk(MLP((3,)), np.zeros(3))


def _two_layers(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


@pytest.mark.parametrize(
    "implementation",
    ["JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES", "AUTO"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.slow_cases("float32-NTK_VECTOR_PRODUCTS", "float32-STRUCTURED_DERIVATIVES")
@pytest.mark.exhaustive_cases("float32-AUTO", "float64-AUTO", "float64-STRUCTURED_DERIVATIVES")
@pytest.mark.exhaustive_cases("float32-STRUCTURED_DERIVATIVES")
def test_empirical_ntk_of_two_layers_is_the_formula(implementation, dtype):
    rng = np.random.default_rng(0)
    params = {"in": rng.standard_normal((7, 5)), "out": rng.standard_normal((5, 2))}
    hidden = np.tanh(ROWS @ params["in"])
    slopes = 1.0 - hidden**2
    through = np.einsum("ih,jh,hk->ij", slopes, slopes, params["out"] ** 2) / 2.0
    expected = hidden @ hidden.T + through * (ROWS @ ROWS.T)
    kernel = empirical_ntk(_two_layers, params, ROWS, implementation=implementation, dtype=dtype)
    assert kernel.dtype == dtype
    np.testing.assert_allclose(kernel, expected, rtol={"float64": 1e-12, "float32": 1e-4}[dtype])


@pytest.mark.parametrize(
    "call",
    [
        lambda: empirical_ntk(_two_layers, {}, ROWS, implementation="FASTEST"),
        lambda: empirical_ntk(_two_layers, {}, ROWS, dtype="bfloat16"),
    ],
)
def test_empirical_refusals_name_what_is_allowed(call):
    with pytest.raises(SpecError, match="Allowed:"):
        call()


@pytest.mark.parametrize("route", ["recursion", "quadrature", "neural-tangents"])
def test_the_program_does_not_grow_with_depth(route):
    """What is compiled: one layer in a loop."""

    def size(depth):
        x, variances = jnp.eye(4), (jnp.full(depth, 2.0), jnp.zeros(depth))
        if route == "neural-tangents":
            kernel_fn = stax_network(act.relu, *map(np.asarray, variances))[2]
            return len(str(jax.make_jaxpr(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)))
        activation = act.tanh if route == "quadrature" else act.relu
        return len(
            str(
                jax.make_jaxpr(lambda *arguments: kernel_scan(activation, *arguments))(
                    x, *variances
                )
            )
        )

    with host_float64():
        shallow, deep = size(10), size(1000)
    assert shallow > 1000  # a program, not a look-up
    assert deep < 1.1 * shallow  # shapes have more digits
