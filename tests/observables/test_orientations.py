"""Orientations of input weights: closed forms, planted clusters, float32 digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.observables.orientation_counts import count_orientations
from deepinit.observables.orientations import (
    alignment,
    amplitudes,
    angles_to,
    cosine_similarities,
    display_order,
    input_vectors,
    orientations,
    relative_distance,
)

RNG = np.random.default_rng(0)


def planted(directions, members, spread=0.01, scale=1e-25, seed=0):
    """`members` vectors about each direction, sizes 1 to 3 times `scale`, shuffled."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.asarray(directions, float), members, axis=0)
    rows = rows + spread * rng.standard_normal(rows.shape)
    rows = rows * rng.uniform(1, 3, (len(rows), 1)) * scale
    return rows[rng.permutation(len(rows))].astype(np.float32)


def test_input_vectors_append_the_bias():
    vectors = input_vectors(np.arange(6.0).reshape(2, 3), np.array([7.0, 8.0]))
    np.testing.assert_array_equal(vectors, [[0, 1, 2, 7], [3, 4, 5, 8]])
    assert input_vectors(np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_cosines_do_not_depend_on_the_scale(scale):
    vectors = RNG.standard_normal((6, 4))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = cosine_similarities((scale * vectors).astype(np.float32))
    np.testing.assert_allclose(found, units @ units.T, atol=1e-6)
    assert np.abs(np.diag(found) - 1).max() < 1e-6


@pytest.mark.slow
def test_zero_vectors_have_no_orientation_and_leave_gradients_of_others_finite():
    vectors = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    np.testing.assert_allclose(orientations(vectors), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_array_equal(cosine_similarities(vectors)[0], [0, 0])
    assert np.isnan(angles_to(vectors, [[1.0, 0.0]])[0, 0])


@pytest.mark.slow
def test_display_order_gathers_lines():
    vectors = planted([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], (20, 15, 9, 7))
    order = display_order(cosine_similarities(vectors))
    assert sorted(order) == list(range(51))
    nearest = np.argmax(
        orientations(vectors) @ np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]).T, axis=1
    )
    assert np.count_nonzero(np.diff(nearest[order])) == 3  # every cluster in one piece
    assert display_order(np.ones((1, 1))).tolist() == [0]


@pytest.mark.slow
def test_small_angles_keep_their_digits_in_float32():
    angle = 1e-5
    vectors = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]], np.float32)
    found = angles_to(vectors, [[2.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(found, [[0, np.pi], [angle, np.pi - angle]], rtol=1e-5)
    assert float(jnp.arccos(cosine_similarities(vectors)[0, 1])) != pytest.approx(
        angle, rel=0.5
    )  # the rival


@pytest.mark.slow
@pytest.mark.exhaustive
def test_alignment_says_who_is_where():
    directions = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    vectors = np.concatenate([planted(directions[:2], (6, 3)), np.array([[1, 1, 1]], np.float32)])
    found = alignment(vectors, directions)
    assert found.visited.tolist() == [True, True, False]
    assert float(found.fraction) == pytest.approx(0.9)
    assert float(found.median) > 0.999
    assert float(found.best[-1]) == pytest.approx(1 / np.sqrt(3), rel=1e-5)
    assert int((found.nearest[:-1] == 0).sum()) == 6


@pytest.mark.parametrize("dimension", [2, 3, 6])
@pytest.mark.slow_cases("3", "6")
@pytest.mark.exhaustive_cases("2")
def test_planted_orientations_are_counted(dimension):
    turn = np.linalg.qr(np.random.default_rng(dimension).standard_normal((dimension, dimension)))[0]
    directions = np.concatenate([turn[:2], -turn[:2]])
    vectors = planted(directions, (60, 30, 20, 10), spread=0.01)
    found = count_orientations(vectors)
    assert int(found.num_orientations) == 4
    assert bool(found.condensed)
    assert float(found.coverage) == 1.0
    assert sorted(np.bincount(np.asarray(found.members)).tolist()) == [10, 20, 30, 60]
    assert np.bincount(np.asarray(found.members)).tolist() == [60, 30, 20, 10]  # largest first


@pytest.mark.parametrize("dimension", [2, 6])
@pytest.mark.slow_cases("6")
@pytest.mark.exhaustive_cases("2")
def test_a_random_cloud_is_not_condensed(dimension):
    clouds = np.random.default_rng(dimension).standard_normal((20, 100, dimension))
    found = jax.vmap(count_orientations)(clouds)
    assert not bool(found.condensed.any())


@pytest.mark.exhaustive
def test_small_clusters_and_small_neurons_are_left_out():
    vectors = planted([[1, 0, 0], [0, 1, 0]], (50, 2))
    found = count_orientations(vectors)
    assert int(found.num_orientations) == 1
    assert float(found.coverage) == pytest.approx(50 / 52)
    sizes = np.linalg.norm(vectors.astype(np.float64), axis=1)
    scattered = np.concatenate([vectors, 1e-3 * RNG.standard_normal((60, 3)) * sizes.max()])
    assert not bool(count_orientations(scattered).condensed)
    masked = count_orientations(
        scattered, amplitudes=np.linalg.norm(scattered / sizes.max(), axis=1)
    )
    assert bool(masked.condensed)
    assert int(masked.live) == 52


@pytest.mark.slow
def test_no_neurons_at_all_are_not_condensed():
    found = count_orientations(np.zeros((5, 3)))
    assert int(found.num_orientations) == 0
    assert not bool(found.condensed)


@pytest.mark.slow
def test_amplitudes():
    vectors, outputs = np.array([[0.0, 2.0], [-3.0, -3.0]]), np.array([-0.5, 2.0])
    np.testing.assert_allclose(amplitudes(vectors, outputs), [1.0, 2 * np.sqrt(18)], rtol=1e-6)
    two_outputs = amplitudes(vectors, np.array([[0.3, 1.0], [-0.4, 0.0]]))
    np.testing.assert_allclose(two_outputs, [1.0, np.sqrt(18)], rtol=1e-6)


def test_relative_distance_of_trees_of_any_scale():
    initial = {"a": np.full((2, 2), 3e-30, np.float32), "b": np.zeros(2, np.float32)}
    moved = {"a": np.full((2, 2), 6e-30, np.float32), "b": np.full(2, 8e-30, np.float32)}
    expected = np.sqrt(4 * 9 + 2 * 64) / 6
    assert float(relative_distance(moved, initial)) == pytest.approx(expected, rel=1e-5)
    assert float(relative_distance(initial, initial)) == 0


@pytest.mark.slow
def test_everything_runs_under_jit_and_vmap():
    batch = np.stack([planted([[1, 0, 0], [-1, 0, 0]], (10, 10), seed=seed) for seed in range(3)])
    ours = jax.jit(jax.vmap(count_orientations))(batch)
    assert ours.num_orientations.tolist() == [2, 2, 2]
    assert ours.condensed.all()
    alone = [int(count_orientations(one).num_orientations) for one in batch]
    assert alone == [2, 2, 2]
