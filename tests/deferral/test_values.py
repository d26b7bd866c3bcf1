"""Unevaluated products of arrays against numpy."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from deepinit.deferral.einsums import (
    broadcast,
    ein_of,
    evaluate,
    num_numbers,
    product,
    regrouped,
    reshaped,
    split_label,
    summed,
    times,
)
from deepinit.deferral.values import Ein

RNG = np.random.default_rng(0)


def outer(*shapes):
    """An Ein of several factors, and the array."""
    arrays = [RNG.standard_normal(shape) for shape in shapes]
    ein, dense = ein_of(arrays[0]), arrays[0]
    for array in arrays[1:]:
        ein = product(ein, ein_of(array), (), lambda first, second: (*first, *second))
        dense = np.multiply.outer(dense, array)
    return ein, dense


def assert_same(ein, dense):
    found = evaluate(ein)
    assert found.shape == dense.shape
    np.testing.assert_allclose(
        found, dense, rtol=1e-4, atol=1e-4 * (1 + np.abs(dense).max(initial=0))
    )


def test_numbers_are_scales():
    for array in (3.0, np.full((1, 1), 3.0)):
        ein = ein_of(array)
        assert ein.factors == ()
        assert num_numbers(ein) == 1
        assert_same(ein, np.asarray(array))
    ein, dense = outer((2, 3), (4,))
    tripled = product(ein, ein_of(3.0), (), lambda first, second: first)
    assert len(tripled.factors) == 2
    assert_same(times(tripled, 2.0), 6 * dense)


def test_matrix_products():
    a, b = RNG.standard_normal((4, 6)), RNG.standard_normal((6, 5))
    ein = product(ein_of(a), ein_of(b), ((1, 0),), lambda first, second: (first[0], second[1]))
    assert_same(ein, a @ b)
    batched = RNG.standard_normal((3, 4, 6)), RNG.standard_normal((3, 6, 2))
    axes = lambda first, second: (first[0], first[1], second[2])
    ein = product(*map(ein_of, batched), ((2, 1), (0, 0)), axes)
    assert_same(ein, batched[0] @ batched[1])


def test_axes_of_several_labels_are_aligned():
    """(2 x 6) and (4 x 3) and (3 x 4) and 12 are one axis of 12 numbers."""
    dense = RNG.standard_normal(12)
    for shapes in (((2,), (6,)), ((4,), (3,)), ((3,), (4,)), ((12,),)):
        first, array = outer(*shapes)
        first, array = reshaped(first, (12,)), array.reshape(12)
        for others in (((3,), (4,)), ((6,), (2,)), ((2,), (2,), (3,))):
            second, other = outer(*others)
            second, other = reshaped(second, (12,)), other.reshape(12)
            both = product(first, second, ((0, 0),), lambda one, two: one)
            assert_same(both, array * other)
            assert_same(
                product(both, ein_of(dense), ((0, 0),), lambda one, two: ()),
                np.sum(array * other * dense),
            )


def test_repeated_axes_count_in_sums():
    ein, dense = outer((3,), (1, 2))
    grown = broadcast(ein, (3, 5, 2))
    full = np.broadcast_to(dense, (3, 5, 2))
    assert_same(grown, full)
    assert_same(summed(grown, (1,)), full.sum(axis=1))
    assert_same(summed(grown, (0, 1, 2)), full.sum())
    assert_same(reshaped(grown, (15, 2)), full.reshape(15, 2))
    square = product(grown, grown, ((0, 0), (1, 1), (2, 2)), lambda first, second: ())
    assert_same(square, np.sum(full**2))


def test_one_array_times_itself():
    """Labels of the second are new ones: no diagonal is taken."""
    ein, dense = outer((3,), (4,))
    both = product(ein, ein, (), lambda first, second: (*first, *second))
    assert_same(both, np.multiply.outer(dense, dense))
    gram = product(ein, ein, ((1, 1),), lambda first, second: (first[0], second[0]))
    assert_same(gram, dense @ dense.T)


def test_labels_are_split():
    ein, dense = outer((6,), (4,))
    (label,) = ein.axes[0]
    split = split_label(ein, label, (2, 3))
    assert len(split.axes[0]) == 2
    assert_same(split, dense)


@pytest.mark.parametrize(
    ("parts", "shape", "groups"),
    [
        ([(0, 6), (1, 4)], (24,), ((0, 1),)),
        ([(0, 6), (1, 4)], (6, 1, 4), ((0,), (), (1,))),
        ([(0, 6), (1, 4)], (3, 8), None),
        ([(0, 6), (1, 4)], (1,), None),
    ],
)
def test_regrouping(parts, shape, groups):
    if shape == (1,):
        parts, groups = [], ((),)
    assert regrouped(parts, shape).groups == groups


def test_regrouping_names_the_part_to_split():
    assert regrouped([(0, 6), (1, 4)], (2, 12)).split == (0, (2, 3))
    assert regrouped([(0, 6), (1, 4)], (4, 6)) == (None, None)


SIZES = st.sampled_from([1, 2, 3, 4, 6])


@st.composite
def steps(draw):
    return [draw(st.integers(0, 10**6)) for _ in range(draw(st.integers(1, 5)))]


@pytest.mark.slow
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(st.lists(SIZES, min_size=1, max_size=2), min_size=1, max_size=3), steps()
)
def test_views_against_numpy(shapes, choices):
    """Transposed, reshaped, summed, repeated and multiplied in any order."""
    ein, dense = outer(*map(tuple, shapes))
    for choice in choices:
        kind, rng = choice % 5, np.random.default_rng(choice)
        if kind == 0:
            order = rng.permutation(dense.ndim)
            ein = Ein(
                ein.factors, ein.labels, tuple(ein.axes[i] for i in order), ein.sizes, ein.scale
            )
            dense = dense.transpose(order)
        elif kind == 1:
            shape = _random_shape(dense.size, rng)
            ein, dense = reshaped(ein, shape), dense.reshape(shape)
        elif kind == 2 and dense.ndim > 1:
            axes = tuple(int(i) for i in np.flatnonzero(rng.random(dense.ndim) < 0.4))
            ein, dense = summed(ein, axes), dense.sum(axis=axes)
        elif kind == 3 and dense.size < 1000:
            shape = (*dense.shape, 3)
            ein = broadcast(reshaped(ein, (*dense.shape, 1)), shape)
            dense = np.broadcast_to(dense[..., None], shape)
        elif kind == 4:
            other = rng.standard_normal(dense.shape)
            pairs = tuple((axis, axis) for axis in range(dense.ndim))
            ein = product(
                ein,
                ein_of(other),
                pairs,
                lambda one, two: tuple(a or b for a, b in zip(one, two, strict=True)),
            )
            dense = dense * other
    assert_same(ein, dense)


def _random_shape(size, rng):
    shape = []
    while size > 1:
        divisors = [n for n in range(2, size + 1) if size % n == 0]
        shape.append(int(rng.choice(divisors)))
        size //= shape[-1]
        if rng.random() < 0.2:
            shape.append(1)
    return tuple(shape)
