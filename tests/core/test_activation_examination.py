"""Activations are examined once, at construction: right numbers across kinks, or a refusal."""

import copy
import dataclasses
import functools
import pickle

import flax.linen as nn
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import BUILTIN, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import expectation
from deepinit.core.power_laws import power_laws

PAIR = [[1, 0, 0], [0.6, 0.8, 0]]
Q, P = di.quantities, di.inputs


def mean_of(prediction):
    return np.ravel(getattr(prediction, dataclasses.fields(prediction)[2].name))


def kernel(activation, variance=None, quantity=Q.ntk):
    law = None if variance is None else di.normal(variance)
    net = di.MLP((8,) * 5, activation, law, output_width=1)
    return mean_of(di.infinite(net, quantity, P.points(PAIR)))


@pytest.mark.parametrize(
    ("activation", "variance", "own", "crossed"),
    [
        (jax.nn.relu, None, 2.0, 0.89986),
        (jax.nn.leaky_relu, None, 2.0, 0.90325),
        # at the variances 1 / E phi^2 of a quadrature without kinks
        (jax.nn.selu, 1.0000010288056544, 4.86054, 2.51756),
        (jax.nn.hard_swish, 3.0158776701608554, 2.47863, 1.02722),
    ],
)
@pytest.mark.slow
@pytest.mark.exhaustive_cases(
    "hard_silu-3.0158776701608554-2.47863-1.02722", "selu-1.0000010288056544-4.86054-2.51756"
)
def test_r02_tangent_kernels_of_functions_with_kinks(activation, variance, own, crossed):
    np.testing.assert_allclose(kernel(activation, variance)[:2], [own, crossed], atol=6e-6)


@pytest.mark.parametrize(
    "activation",
    [jax.nn.relu, jax.nn.leaky_relu, jax.nn.selu, jax.nn.hard_swish, jax.nn.elu, jax.nn.relu6,
     jax.nn.celu, jax.nn.soft_sign],
)  # fmt: skip
@pytest.mark.slow_cases("hard_silu", "selu")
@pytest.mark.exhaustive_cases("celu", "elu", "relu6", "soft_sign")
@pytest.mark.exhaustive_cases("selu")
def test_r02_kinks_that_are_found_give_the_kernels_of_the_builtin(activation):
    own = as_activation(lambda x: activation(x))
    assert own.fn is not as_activation(activation).fn
    assert own.kinks == pytest.approx(as_activation(activation).kinks, abs=1e-14)
    for power in (1, 2, 4):
        exact = expectation(as_activation(activation), power)
        assert expectation(own, power) == pytest.approx(exact, rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(kernel(own), kernel(activation), rtol=1e-10)


REFERENCE = {
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "celu": lambda x: x if x > 0 else mpmath.expm1(x),
    "selu": lambda x: di.selu(1.0) * (x if x > 0 else 1.6732632423543772 * mpmath.expm1(x)),
    "relu6": lambda x: min(max(x, 0), 6),
    "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "mish": lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x))),
    "softsign": lambda x: x / (1 + abs(x)),
    "arctan": mpmath.atan,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(
        mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCE)
def test_r02_values_derivatives_and_mean_squares_of_the_new_builtins(name):
    phi, mpmath.mp.dps = as_activation(name), 30
    for x in (-7.3, -2.1, -0.4, 0.2, 2.9, 3.4, 8.0):
        exact = REFERENCE[name](mpmath.mpf(x))
        assert float(phi(np.float64(x))) == pytest.approx(float(exact), rel=1e-14, abs=1e-16)
        slope = mpmath.diff(REFERENCE[name], x)
        assert float(phi.derivative(np.float64(x))) == pytest.approx(float(slope), abs=1e-12)
    weight = lambda x: REFERENCE[name](x) ** 2 * mpmath.npdf(x)
    exact = mpmath.quad(weight, [-14, -6, -3, -1, 0, 1, 3, 6, 14])
    assert expectation(phi, 2) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("name", ["elu", "selu", "hard_swish", "relu6", "softsign"])
def test_r02_differences_across_kinks_are_exact(name):
    phi, mpmath.mp.dps = as_activation(name), 40
    for kink in phi.kinks:
        for before, step in ((-1e-9, 3e-9), (2e-9, -5e-9), (-0.2, 0.3), (0.1, -0.3), (0, 1e-11)):
            x = np.float64(kink + before)
            end = mpmath.mpf(float(x)) + mpmath.mpf(step)
            exact = float(REFERENCE[name](end) - REFERENCE[name](mpmath.mpf(float(x))))
            found = float(phi.difference(x, np.float64(step)))
            assert found == pytest.approx(exact, rel=1e-9, abs=1e-24)


@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.relu6, lambda x: jax.nn.selu(x)])
@pytest.mark.parametrize("name", ["log_sin2_angle", "log_norm", "ntk"])
@pytest.mark.slow
@pytest.mark.exhaustive_cases("log_sin2_angle-<lambda>", "ntk-<lambda>", "ntk-relu", "ntk-relu6")
def test_r03_functions_of_jax_can_be_simulated(activation, name):
    inputs = P.pair(0.5) if name == "log_sin2_angle" else P.points([[1.0, 0.5]])
    net = di.MLP((8,) * 2, activation, output_width=1 if name == "ntk" else None)
    found = np.asarray(di.simulate(net, getattr(Q, name), inputs, num_seeds=4).mean)
    assert np.isfinite(found).all()
    if activation is jax.nn.relu:
        ours = di.simulate(dataclasses.replace(net, activation=di.relu), getattr(Q, name), inputs,
                           num_seeds=4).mean  # fmt: skip
        np.testing.assert_array_equal(found, np.asarray(ours))


@pytest.mark.slow
def test_r03_orders_are_worked_out_while_jax_traces():
    def orders(x):
        own = as_activation(lambda z: jax.nn.relu6(z) + jax.nn.silu(z))
        return x * power_laws(own).values.near[0] * len(own.kinks)

    assert jax.jit(orders)(2.0) == 4.0


@jax.custom_vjp
def backward_only(x):
    return jnp.tanh(x)


backward_only.defvjp(lambda x: (jnp.tanh(x), x), lambda x, back: (back,))

WRONG = {
    "np.tanh": (np.tanh, "computes with NumPy"),
    "vectorize": (np.vectorize(lambda x: x), "computes with NumPy"),
    "max": (lambda x: max(x, 0), "decides by the value of x in Python"),
    "if": (lambda x: x if x > 0 else 0.0, "decides by the value of x in Python"),
    "glu": (jax.nn.glu, "makes (2,) of an array of shape (4,)"),
    "softmax": (jax.nn.softmax, "cannot be applied to one float array"),
    "normalized": (lambda x: x - jnp.mean(x), "is not elementwise"),
    "cumsum": (lambda x: jnp.cumsum(x.ravel()).reshape(x.shape), "is not elementwise"),
    "two": (lambda x, y: x, "cannot be applied to one float array"),
    "int": (lambda x: x.astype(jnp.int32), "makes int32 of float32"),
    "narrow": (lambda x: x.astype(jnp.float32), "makes float32 of float64"),
    "custom_vjp": (backward_only, "has a reverse derivative only"),
    "prelu": (nn.PReLU(), "cannot be applied to one float array"),
    "zero": (lambda x: 0 * x, "is constant"),
    "log": (jnp.log, "has the value"),
    "root": (lambda x: jnp.sqrt(jnp.abs(x)), "has the derivative inf at x=0"),
    "many": (lambda x: jnp.abs(jnp.sin(x)), "has kinks at"),
    "hidden": (
        lambda x: jax.lax.fori_loop(0, 2, lambda _, y: jnp.maximum(y, 0.3), x),
        "not that of its values between x=0.29",
    ),
}


@pytest.mark.parametrize("which", WRONG)
@pytest.mark.slow_cases("hidden", "softmax")
def test_r09_what_is_no_activation_is_refused_where_it_enters(which):
    activation, reason = WRONG[which]
    with pytest.raises(SpecError) as error:
        di.MLP((8,), activation)
    assert reason in str(error.value)
    assert "a function of one float array, applied entry by entry" in str(error.value)


def test_r09_a_step_is_refused_for_what_it_is():
    with pytest.raises(SpecError, match="sign, piecewise constant, without a weight law"):
        di.MLP((8,), jnp.sign)


@pytest.mark.slow
def test_n6_a_step_of_the_value_is_found():
    sign = di.from_function(jnp.sign)
    assert (sign.kinks, sign.jumps) == ((0.0,), (0.0,))
    net = di.MLP((8,), sign, di.normal(1.0), output_width=1)
    found = mean_of(di.infinite(net, Q.nngp, P.points(PAIR)))[-3:]
    np.testing.assert_allclose(found, [1.0, 2 / np.pi * np.arcsin(0.6), 1.0], rtol=1e-10)


def test_r11_a_default_variance_belongs_to_its_activation():
    replace = dataclasses.replace
    assert replace(di.MLP((3,) * 2), activation=di.tanh) == di.MLP((3,) * 2, di.tanh)
    assert replace(di.MLP((3,), output_width=1), output_width=None) == di.MLP((3,))
    own = di.MLP((3,), weight_law=di.normal(2.0))
    assert own == di.MLP((3,))
    assert hash(own) == hash(di.MLP((3,)))
    assert own.to_json() == di.MLP((3,)).to_json()
    assert replace(own, activation="tanh").weight_law == di.normal(2.0)  # given, and kept
    for copied in (
        pickle.loads(pickle.dumps(di.MLP((3,)))),
        copy.deepcopy(di.MLP((3,))),
        copy.copy(di.MLP((3,))),
    ):
        assert replace(copied, activation="tanh") == di.MLP((3,), "tanh")
    assert replace(di.ResNet(8, 3), width=16) == di.ResNet(16, 3)
    assert replace(di.ResNet(8, 3), block="shallow") == di.ResNet(8, 3, block="shallow")
    conv = di.ConvResNet((4,), 2, 2, output_width=1)
    assert replace(conv, output_width=None) == di.ConvResNet((4,), 2, 2)


def test_r11_what_is_given_is_never_chosen_anew():
    """Also where it is equal to a default, made of one, or the default of another spec."""
    replace, he = dataclasses.replace, di.MLP((3,), output_width=1)
    changed = replace(he.weight_law, variance=1.6)
    assert di.MLP((3,), weight_law=changed).weight_law == di.normal(1.6)
    assert replace(he, weight_law=changed).weight_law == di.normal(1.6)
    assert replace(he, output_law=replace(he.output_law, variance=0.1)).output_law == di.normal(0.1)
    assert di.MLP((3,), "tanh", he.weight_law).weight_law == di.normal(2.0)
    assert replace(he, activation="tanh", weight_law=di.normal(2.0)).weight_law == di.normal(2.0)
    assert replace(replace(he), activation="tanh") == di.MLP(
        (3,), "tanh", output_width=1
    )  # chosen twice is chosen
    net = di.ResNet(8, 3, block="shallow")
    assert replace(net, activation=di.tanh, block="two_layer").activation == di.tanh
    two = di.ResNet(8, 3)
    assert replace(two, width=16, branch_width=8).branch_width == 8
    assert replace(two, branch_law=replace(two.branch_law, variance=0.5)).branch_law == di.normal(
        0.5, "depth"
    )
    assert replace(
        two, activation="tanh", weight_law=replace(two.weight_law)
    ).weight_law == di.normal(2.0)
    assert di.ResNet(16, 3, branch_width=two.branch_width).branch_width == 8
    with pytest.raises(SpecError, match="both or neither"):
        replace(he, output_width=None, output_law=di.normal(1.0))


def test_functions_of_jax_are_the_builtins():
    same = {
        jax.nn.relu: di.relu,
        nn.relu: di.relu,
        jax.nn.silu: di.silu,
        jax.nn.swish: di.swish,
        jax.nn.gelu: di.gelu_tanh,
        functools.partial(jax.nn.gelu, approximate=False): di.gelu,
        functools.partial(jax.nn.leaky_relu, negative_slope=0.2): di.leaky_relu(0.2),
        functools.partial(jax.nn.elu, alpha=0.5): di.elu(0.5),
        jnp.tanh: di.tanh,
        jnp.sin: di.sin,
        jax.lax.erf: di.erf,
        jax.scipy.special.erf: di.erf,
        di.elu: di.elu(1.0),
    }
    for fn, builtin in same.items():
        assert as_activation(fn) == builtin
        assert di.MLP((3,), fn).activation == builtin


@pytest.mark.parametrize(
    "activation",
    [*(factory() for factory in BUILTIN.values()), di.rounded(di.leaky_relu(0.2), 0.01),
     as_activation(jax.nn.hard_tanh)],
    ids=repr,
)  # fmt: skip
def test_activations_pickle(activation):
    again = pickle.loads(pickle.dumps(activation))
    assert again == activation
    assert hash(again) == hash(activation)


def test_rounded_holds_its_inner_activation_and_reads_old_records():
    outer = di.rounded(di.leaky_relu(0.2), 0.1)
    assert dict(outer.parameters)["activation"] == di.leaky_relu(0.2)
    text = '{"name": "leaky_relu", "negative_slope": 0.2}'
    record = {"name": "rounded", "activation": text, "rho": 0.1, "rounding": "nearest"}
    assert outer.to_json() == record
    assert as_activation(record) == outer
    x, dx = np.array([0.149, 0.11]), np.array([0.002, 0.002])
    np.testing.assert_allclose(outer.difference(x, dx), [0.1, 0.0], atol=1e-15)


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_automatic_derivatives_at_a_smooth_kink_are_the_derivative(name):
    activation = BUILTIN[name]()
    assert float(jax.grad(activation)(0.0)) == pytest.approx(
        float(activation.derivative(np.float64(0.0)))
    )
