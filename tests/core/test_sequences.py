import dataclasses
import math

import numpy as np
import pytest

from deepinit.core import curves, frames, inputs
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, shape_of


def ids_of(given):
    """Token indices [num, length] of one-hot inputs, partners after points."""
    rows = np.concatenate([given.points, given.partners])
    hot = rows.reshape(len(rows), *given.positions, -1)
    assert np.all((hot == 0) | (hot == 1))
    assert np.all(hot.sum(-1) == 1)
    return hot.argmax(-1)


@pytest.mark.parametrize("shared", [0.0, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("repeated", [0.0, 0.3, 0.75, 0.99])
def test_tokens_have_the_shares_that_were_asked_for(shared, repeated):
    length = 20
    given = inputs.tokens(length, 3, shared=shared, repeated=repeated, seed=4)
    assert given.num_pairs == 0
    assert given.tokens
    assert given.positions == (length,)
    ids = ids_of(given)
    assert ids.max() + 1 == given.dimension // length  # every channel is a token that occurs
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.sum(ids[first] == ids[second]) == round(shared * length)
    for sequence in ids:
        repeats = length - len(set(sequence))
        assert abs(repeats - math.floor(repeated * length)) <= 1


def test_pairs_of_sequences_have_the_angle_of_their_share():
    given = inputs.token_pairs(8, (0.0, 0.25, 0.5, 1.0), seed=2)
    assert (given.num_pairs, given.bases, len(given.points)) == (4, (0,) * 4, 1)
    np.testing.assert_allclose(np.cos(given.angles), [0.0, 0.25, 0.5, 1.0], atol=1e-15)
    ids = ids_of(given)
    assert [np.sum(ids[0] == other) for other in ids[1:]] == [0, 2, 4, 8]
    assert len(given.entries) == 4
    one = inputs.token_pairs(8, 0.5)
    np.testing.assert_allclose(one.angles, np.arccos(0.5))


def test_seeds_choose_the_positions_that_are_shared():
    places = {tuple(ids_of(s)[0] == ids_of(s)[1]) for s in map(pair_of_seed, range(8))}
    assert len(places) > 4
    assert pair_of_seed(3).digest == pair_of_seed(3).digest


def pair_of_seed(seed):
    return inputs.token_pairs(12, 0.5, seed=seed)


def test_token_ids_keep_only_the_tokens_that_occur():
    given = inputs.token_ids([[50_000, 7, 50_000], [7, 7, 3]])
    np.testing.assert_array_equal(ids_of(given), [[2, 1, 2], [1, 1, 0]])
    assert shape_of(given) == Shape((3,), 3, True)
    assert inputs.token_ids([5, 6]).positions == (2,)
    pair = inputs.token_ids([[1, 2, 3, 4]], [[1, 2, 3, 9]])
    np.testing.assert_allclose(np.cos(pair.angles), 0.75)
    assert (pair.num_pairs, pair.dimension) == (1, 4 * 5)


def test_arrays_keep_their_arrangement():
    array = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    images = inputs.arranged(array)
    assert shape_of(images) == Shape((3, 4), 5)
    np.testing.assert_array_equal(images.points.reshape(array.shape), array)
    sequences = inputs.arranged(array[:, 0], (4,))
    assert shape_of(sequences) == Shape((4,), 5)
    flat = inputs.points(array.reshape(2, -1))
    assert inputs.arranged(flat, (3, 4)).digest == images.digest
    pairs = inputs.arranged(inputs.sphere_pairs(2, 784), (28, 28))
    assert shape_of(pairs) == Shape((28, 28), 1)
    assert pairs.num_pairs == 2


def test_inputs_without_positions_are_vectors():
    assert shape_of(inputs.pair(0.1, 3)) == Shape((), 3)
    assert shape_of(frames.random(4)) == Shape((), 4)
    assert shape_of(curves.sampled(curves.circle(2))) == Shape((), 2)


def test_digest_of_vectors_is_that_of_earlier_versions():
    digest = inputs.from_arrays([[1.0, 2.0]], [[0.5, -1.0]]).digest
    assert digest.startswith("50de17675ce9b1a2")


def test_digest_depends_on_positions_and_tokens():
    flat = inputs.points(np.eye(2, 12))
    variants = [flat, inputs.arranged(flat, (12,)), inputs.arranged(flat, (3,))]
    variants += [inputs.arranged(flat, (3, 4)), dataclasses.replace(variants[2], tokens=True)]
    assert len({variant.digest for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inputs.tokens(0), "length=0"),
        (lambda: inputs.tokens(2.5), r"length=2\.5"),
        (lambda: inputs.tokens(4, 0), "num_sequences=0"),
        (lambda: inputs.tokens(4, 2, shared=1.5), r"shared=1\.5"),
        (lambda: inputs.tokens(4, 2, shared="a"), "shared='a'"),
        (lambda: inputs.tokens(4, repeated=1.0), r"repeated=1\.0"),
        (lambda: inputs.tokens(4, seed=-1), "seed=-1"),
        (lambda: inputs.tokens(4096, 16), "one-hot entries"),
        (lambda: inputs.token_pairs(4, ()), r"shared of shape \(0,\)"),
        (lambda: inputs.token_pairs(4, -0.1), r"shared=-0\.1"),
        (lambda: inputs.token_pairs(4, "half"), "shared of type str"),
        (lambda: inputs.token_ids([]), r"ids of shape \(1, 0\)"),
        (lambda: inputs.token_ids([[0.5, 1]]), "not whole"),
        (lambda: inputs.token_ids("text"), "ids of type str"),
        (lambda: inputs.token_ids([[1, 2]], [[1, 2, 3]]), r"partners of shape \(1, 3\)"),
        (lambda: inputs.arranged(np.ones((2, 3))), r"an array of shape \(2, 3\)"),
        (lambda: inputs.arranged(np.ones((2, 3, 4)), (4,)), r"positions=\(4,\) for an array"),
        (lambda: inputs.arranged(np.full((2, 3, 4), np.nan)), "not finite"),
        (lambda: inputs.arranged(inputs.ones(12)), "positions=None"),
        (lambda: inputs.arranged(inputs.ones(12), (5,)), "5 positions for inputs of dimension 12"),
        (lambda: inputs.arranged(inputs.ones(12), (2, 2, 3)), r"positions=\(2, 2, 3\)"),
        (lambda: inputs.arranged(inputs.ones(12), (0,)), r"positions=\(0,\)"),
        (lambda: inputs.arranged("a", (1,)), "inputs of type str"),
    ],
)
def test_bad_sequences_are_refused(call, message):
    with pytest.raises(SpecError, match=message) as caught:
        call()
    assert "Allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)
