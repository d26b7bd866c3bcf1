"""What equals a number is stored as that number."""

import dataclasses
import math
import pickle
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from small_specs import MATRIX, conv, mlp, shallow

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.runs.experiment import Case
from deepinit.store.canonical import canonical_json

Q = di.quantities
FLOATS = (
    2.0,
    np.float32(2.0),
    np.float64(2.0),
    np.float16(2.0),
    np.array(2.0),
    jnp.float32(2.0),
    Fraction(2),
    2,
)
WHOLE = (3, 3.0, np.int64(3), np.uint8(3), np.float32(3.0), np.array(3), jnp.int32(3))
HALVES = (0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), jnp.float32(0.5), Fraction(1, 2))
NAME = np.str_
FIELDS = {  # how a spec is made of one number, and the numbers that are equal
    "variance": (lambda x: mlp(weight_law=di.normal(x)), FLOATS),
    "bias": (lambda x: mlp(bias_law=di.uniform(x, "absolute")), FLOATS),
    "density": (lambda x: mlp(weight_law=di.sparse(1.0, density=x)), HALVES),
    "value": (lambda x: mlp(bias_law=di.constant(x)), FLOATS),
    "zero": (lambda x: mlp(weight_law=di.orthogonal(x)), (0.0, 0, -0.0, np.float32(-0.0))),
    "law": (lambda x: mlp(weight_law=Law(x, 1.0)), ("normal", NAME("normal"))),
    "scaling": (lambda x: mlp(weight_law=di.normal(1.0, x)), ("depth", NAME("depth"))),
    "matrix": (
        lambda x: shallow(weight_law=di.matrix_normal(x, np.eye(3), np.ones((3, 3)))),
        (
            MATRIX,
            MATRIX.astype("int32"),
            MATRIX.astype("float32"),
            MATRIX.tolist(),
            jnp.asarray(MATRIX),
        ),
    ),
    "general matrix": (
        lambda x: shallow(weight_law=di.gaussian_matrix(np.eye(9), x)),
        (MATRIX, MATRIX.astype("int32"), MATRIX.tolist()),
    ),
    "vector": (lambda x: shallow(bias_law=di.vector_normal(x)), (MATRIX, MATRIX.astype("float32"))),
    "widths": (lambda x: mlp(widths=(x, 2)), WHOLE),
    "widths as an array": (
        lambda x: mlp(widths=x),
        ((3, 2), [3, 2], np.array([3, 2]), np.array([3.0, 2.0]), jnp.array([3, 2])),
    ),
    "output width": (lambda x: mlp(output_width=x), WHOLE),
    "width": (lambda x: di.ResNet(x, 2), WHOLE),
    "depth": (lambda x: di.ResNet(2, x), WHOLE),
    "branch width": (lambda x: di.ResNet(2, 2, branch_width=x), WHOLE),
    "block": (lambda x: di.ResNet(2, 2, block=x), ("shallow", NAME("shallow"))),
    "image": (lambda x: conv(image_shape=x), ((3, 4), [3, 4], np.array([3, 4]), (3.0, np.int8(4)))),
    "channels": (lambda x: conv(channels=x), WHOLE),
    "depth of images": (lambda x: conv(depth=x), WHOLE),
    "kernel": (lambda x: conv(kernel_size=x), WHOLE),
    "padding": (lambda x: conv(padding=x), ("zero", NAME("zero"))),
    "slope": (lambda x: mlp(activation=di.leaky_relu(x)), HALVES),
    "grid": (lambda x: mlp(activation=di.rounded("tanh", x)), HALVES),
    "rounding": (lambda x: mlp(activation=di.rounded("tanh", 0.1, x)), ("flush", NAME("flush"))),
    "name": (
        lambda x: mlp(activation=x),
        ("tanh", NAME("tanh"), di.tanh, jnp.tanh, {"name": "tanh"}),
    ),
    "replaced": (lambda x: dataclasses.replace(di.ResNet(2, 2), depth=x), WHOLE),
}


@pytest.mark.parametrize("field", FIELDS)
def test_r29_equal_numbers_make_one_spec(field):
    make, values = FIELDS[field]
    specs = [make(value) for value in values]
    for attribute in (repr, hash, lambda spec: canonical_json(spec.to_json())):
        assert len({attribute(spec) for spec in specs}) == 1
    assert all(spec == specs[0] for spec in specs)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: di.normal(x),
        lambda x: di.constant(x),
        lambda x: di.sparse(density=x),
        lambda x: mlp(widths=(x,)),
        lambda x: mlp(output_width=x),
        lambda x: di.ResNet(2, x),
        lambda x: conv(kernel_size=x),
        lambda x: conv(image_shape=(x,)),
        lambda x: di.rounded("tanh", x),
    ],
)
@pytest.mark.parametrize(
    "given", [True, np.True_, "2", [2.0], math.nan, math.inf, 10**400, 2j, np.ones(2)]
)
def test_what_is_no_number_is_refused_in_a_sentence(make, given):
    with pytest.raises(SpecError, match=r"Got .* Allowed: "):
        make(given)


def training(examples=None, **fields):
    steps = {"record_steps": (0, 1), "mode": "gd", "rate": 0.1, **fields}
    return di.TrainingConfig(examples or di.targets.two_sines(8), **steps)


X = np.array([[1.0, 2.0], [3.0, 5.0]])
DIGESTED = {
    "points": (
        di.inputs.points,
        (X, X.astype("float32"), X.astype(int), X.tolist(), X.astype(">f8"), jnp.array(X)),
    ),
    "pairs": (
        di.inputs.pairs,
        ((0.5, 1.0), [0.5, 1.0], np.array([0.5, 1.0]), (np.float32(0.5), 1)),
    ),
    "dimension": (lambda n: di.inputs.pair(0.5, n), (3, np.int64(3))),
    "radius": (lambda r: di.inputs.circle(5, radius=r), FLOATS[:6]),
    "arrays": (
        lambda x: di.inputs.from_arrays(x, x[::-1]),
        (X, X.astype("float32"), X.astype(int)),
    ),
    "line": (lambda x: di.curves.line(x[0], x[1]), (X, X.astype("float32"), X.tolist())),
    "curve": (lambda r: di.curves.circle(radius=r), FLOATS[:6]),
    "sampled": (lambda n: di.curves.sampled(di.curves.circle(), n), (3, np.int64(3))),
    "waves": (
        lambda a: training(di.targets.sum_of_sines(2, 5, amplitude=a, frequency=a)),
        FLOATS[:6],
    ),
    "inner": (lambda r: training(di.targets.two_circles(6, inner=r), loss="cross_entropy"), HALVES),
    "classes": (
        lambda kind: training(di.targets.examples(X, np.array([0, 1], kind)), loss="cross_entropy"),
        ("int64", "int32", "uint8", ">i4"),
    ),
    "targets": (
        lambda kind: training(di.targets.examples(X, X.astype(kind))),
        ("f8", "f4", ">f8", "i4"),
    ),
    "record steps": (
        lambda steps: training(record_steps=steps),
        ((0, 3), [0, 3], np.array([0, 3]), range(0, 6, 3), (np.int8(0), 3)),
    ),
    "batch": (lambda n: training(mode="sgd", batch_size=n), (3, np.int64(3))),
    "stage": (lambda stage: training(initial_stage=stage), (True, np.True_)),
    "rate": (lambda rate: training(rate=rate), HALVES),
    "loss": (lambda loss: training(loss=loss), ("mse", NAME("mse"))),
    "frames": (lambda x: di.frames.at(x[0], x), (X, X.astype(int), X.astype("float32"))),
}


@pytest.mark.parametrize("kind", DIGESTED)
def test_r29_inputs_of_equal_numbers_are_one(kind):
    make, values = DIGESTED[kind]
    inputs = [make(value) for value in values]
    assert len({each.digest for each in inputs}) == 1
    assert len({each.label for each in inputs}) == 1
    assert pickle.loads(pickle.dumps(inputs[0])).digest == inputs[0].digest


def test_r29_cases_of_equal_numbers_are_one():
    fields = {
        "num_seeds": (8, np.int64(8)),
        "key": (3, np.uint32(3)),
        "sample_layers": ((1, 2), [1, 2], np.array([1, 2]), (np.int8(1), 2.0)),
        "num_saved": (2, np.int64(2)),
        "dtype": ("float32", NAME("float32")),
        "precision": ("highest", NAME("highest")),
        "linear_map": ("auto", NAME("auto")),
    }
    for field, values in fields.items():
        cases = [
            Case("c", mlp(), Q.log_norm, di.inputs.ones(2), **{"num_seeds": 9, field: value})
            for value in values
        ]
        assert len({canonical_json(case.identity()) for case in cases}) == 1


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("key", 0.0),
        ("key", None),
        ("key", False),
        ("num_seeds", 8.5),
        ("sample_layers", 1),
        ("sample_layers", "12"),
        ("sample_layers", (1.5,)),
        ("num_saved", -1),
        ("dtype", np.float32),
        ("precision", None),
        ("name", 3),
        ("spec", None),
        ("quantity", "log_norm"),
        ("inputs", [[1.0, 2.0]]),
    ],
)
def test_fields_of_cases_are_refused_in_a_sentence(field, given):
    fields = {
        "name": "c",
        "spec": mlp(),
        "quantity": Q.log_norm,
        "inputs": di.inputs.ones(2),
        "num_seeds": 8,
    }
    with pytest.raises(SpecError, match=r"Got .* Allowed: "):
        Case(**{**fields, field: given})
