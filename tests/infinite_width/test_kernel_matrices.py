"""Kernel matrices in blocks: any batch, two lists, equal inputs, images, named architectures."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Gate,
    LayerNorm,
    Pool,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    program,
)
from deepinit.infinite_width.interpreter import interpret
from deepinit.infinite_width.kernel_matrices import kernel_matrices
from deepinit.infinite_width.programs import keeps_positions_apart
from deepinit.infinite_width.recursion import kernel_layers

RNG = np.random.default_rng(0)
X, X2 = RNG.standard_normal((7, 4)), RNG.standard_normal((5, 4))
X2[2] = X[3]
NET = Sequential(Dense(8, di.normal(2.0)), RMSNorm(), Activation("relu"), Dense(8), Dense(1))
IMAGES = RNG.standard_normal((5, 3, 3, 2))
CNN = Sequential(Conv(4), Activation("relu"), Pool(), Dense(1))


@pytest.mark.slow
def test_every_batch_and_both_lists_give_one_kernel():
    whole = kernel_matrices(NET, np.concatenate([X, X2]))
    for part in whole:
        np.testing.assert_array_equal(part, part.T)
    for batch in (2, 3, None):
        blocks = kernel_matrices(NET, X, X2, batch=batch)
        for part, exact in zip(blocks, whole, strict=True):
            np.testing.assert_allclose(part, exact[:7, 7:], rtol=1e-13, atol=1e-14)
            assert part[3, 2] == pytest.approx(exact[3, 3], rel=1e-15)  # an equal pair: angle 0
    for kind, exact in zip(("nngp", "ntk"), whole, strict=True):
        found = di.kernels(NET, X, X2, kind, batch=4)
        np.testing.assert_allclose(found, exact[:7, 7:], rtol=1e-13, atol=1e-14)


def test_images_inputs_and_flattened_rows_are_the_same():
    rows = IMAGES.reshape(5, -1)
    exact = di.kernels(CNN, IMAGES, kind="ntk")
    np.testing.assert_array_equal(di.kernels(CNN, rows, kind="ntk", positions=(3, 3)), exact)
    inputs = di.inputs.from_arrays(rows[:2], rows[2:4])
    found = di.kernels(CNN, inputs, kind="ntk", positions=(3, 3))
    np.testing.assert_allclose(found, exact[:4, :4], rtol=1e-14)
    assert abs(di.kernels(NET, RNG.standard_normal((5, 18))) - exact).max() > 0.1


N = di.normal
SPECS = {
    "mlp": di.MLP((4, 4, 8), "relu", bias_law=N(0.1, "absolute"), output_width=1),
    "resnet": di.ResNet(4, 3, branch_width=6, activation="relu", output_width=1),
    "shallow": di.ResNet(4, 3, block="shallow", activation="gelu", output_width=1),
    "embedded": di.ResNet(
        8, 3, 6, activation="relu", inner_activation="relu", embedding_law=N(1.2), output_width=1
    ),
    "stream": di.ResNet(4, 3, branch_width=6, activation="erf"),
    "images": di.ConvResNet((4,), 1, 2, activation="erf", output_width=1),
    "closure": di.ResNet(
        4, 3, block="shallow", activation="tanh", inner_activation="relu", output_width=1
    ),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.slow_cases("mlp", "embedded", "images", "closure", "shallow")
def test_named_architectures_have_the_kernels_of_the_recursion(name):
    found = kernel_matrices(SPECS[name], X, X2)
    exact = kernel_layers(SPECS[name], np.concatenate([X, X2]))
    np.testing.assert_allclose(found.nngp, exact.nngp[-1][:7, 7:], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.ntk, exact.ntk[-1][:7, 7:], rtol=1e-11, atol=1e-12)


def test_composed_networks_in_inference():
    blocks = di.inference.kernel_for(NET, X, X2)
    whole = kernel_matrices(NET, np.concatenate([X, X2]))
    np.testing.assert_array_equal(blocks.nngp.cross, whole.nngp[7:, :7])
    np.testing.assert_array_equal(blocks.ntk.train, whole.ntk[:7, :7])
    with pytest.raises(SpecError, match="neural-tangents"):
        di.inference.kernel_for(NET, X, X2, engine="neural_tangents")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NET, X, RNG.standard_normal((2, 3))), "dimension 4 and x2 of dimension 3"),
        ((NET, X, None, "ntkk"), "nngp, ntk"),
        ((Conv(4), IMAGES), "one vector"),
        ((di.MLP((4, 4)), X), "output"),
        (("relu", X), "network of di.layers"),
        ((NET, X[0]), "dimension"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(SpecError, match=message):
        di.kernels(*arguments)


def test_positions_that_do_not_divide_are_refused():
    with pytest.raises(SpecError, match="divide"):
        di.kernels(CNN, X, positions=(3,))


@pytest.mark.slow
def test_convolutions_up_to_flatten_need_pairs_of_one_position_only():
    block = Residual(Sequential(Conv(4), Activation("relu"), Conv(4)))
    net = Sequential(
        Conv(4, 3, 2, "circular", bias=N(0.1, "absolute")),
        RMSNorm(),
        Activation("erf"),
        Repeat(block, 2),
        LayerNorm(),
        Dropout(0.1),
        Flatten(),
        Dense(8),
        Gate("relu"),
        Dropout(0.1, shared=False),
        Dense(1),
    )
    images = RNG.standard_normal((4, 5, 6, 3))
    images[2] = images[1]
    whole = program(net, Shape((5, 6), 3))
    assert keeps_positions_apart(whole)
    found, exact = kernel_matrices(net, images), interpret(whole, images).output
    np.testing.assert_allclose(found.nngp, exact.cov[..., 0, 0], rtol=1e-13)
    np.testing.assert_allclose(found.ntk, exact.ntk[..., 0, 0], rtol=1e-13)
