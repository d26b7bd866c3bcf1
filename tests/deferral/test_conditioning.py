"""Uses of a deferred matrix: one matrix fits all of them, and it is Gaussian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from two_samples import SIGMAS, farthest

from deepinit.core.paired_normals import paired_normals
from deepinit.deferral.conditioning import apply_left, apply_right, batched, split_rows, unseen

IN, OUT = 12, 9


def rows(seed, count, size):
    return jax.random.normal(jax.random.key(seed), (count, size))


def used(uses, n_in=IN, n_out=OUT, dtype=jnp.float32):
    """Results of uses ("right" or "left", rows), and the state then."""
    sides = [apply_right if side == "right" else apply_left for side, _ in uses]

    @jax.jit
    def run(every):
        state, found = unseen((), n_in, n_out, dtype), []
        for number, (apply, own) in enumerate(zip(sides, every, strict=True)):
            result, state = apply(state, own, jax.random.key(100 + number))
            found.append(result)
        return found, state

    return run([own for _, own in uses])


def assert_one_matrix(uses, found, n_in=IN, n_out=OUT, tolerance=2e-5):
    """There is W with X W = Y and U W^T = V: least squares leave nothing."""
    equations, right = [], []
    for (side, own), result in zip(uses, found, strict=True):
        own, result = np.asarray(own, np.float64), np.asarray(result, np.float64)
        first, second = (own, np.eye(n_out)) if side == "right" else (np.eye(n_in), own)
        equations.append(np.kron(first, second))
        right.append((result if side == "right" else result.T).ravel())
    matrix, values = np.concatenate(equations), np.concatenate(right)
    solution = np.linalg.lstsq(matrix, values, rcond=1e-9)[0]
    np.testing.assert_allclose(matrix @ solution, values, atol=tolerance * np.abs(values).max())


X, U = rows(0, 4, IN), rows(1, 3, OUT)
DEPENDENT = jnp.concatenate([X, X[:2], X[:1] + X[1:2], 0 * X[:1]])


def right(seed, count):
    return "right", rows(seed, count, IN)


def left(seed, count):
    return "left", rows(seed, count, OUT)


SEQUENCES = {
    "right": [("right", X)],
    "both": [("right", X), ("left", U)],
    "alternating": [("right", X), ("left", U), right(2, 5), left(3, 4)],
    "past the rank": [right(4, 8), left(5, 7), right(6, 9), left(7, 5)],
    "more rows than the rank": [right(8, IN + 5), left(9, OUT + 4), ("right", X)],
    "dependent": [("right", DEPENDENT), ("left", jnp.tile(U, (2, 1))), ("right", X - X[::-1])],
    "many": [right(10, 40), left(11, 20), right(12, 17)],
    "tiny": [("right", 1e-30 * X), ("left", 1e-25 * U), ("right", X)],
}


@pytest.mark.slow_cases("many", "past the rank")
@pytest.mark.parametrize("name", SEQUENCES)
def test_all_uses_are_of_one_matrix(name):
    found, _ = used(SEQUENCES[name])
    assert_one_matrix(SEQUENCES[name], found)


def test_combinations_of_rows_have_combined_images():
    (first, second, third), _ = used(
        [("right", X), ("right", jnp.tile(X, (2, 1)) * 3), ("right", jnp.ones((1, 4)) @ X)]
    )
    np.testing.assert_allclose(second, 3 * jnp.tile(first, (2, 1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(third[0], first.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_a_use_after_the_whole_matrix_is_known_adds_nothing():
    (whole, left), _ = used([("right", jnp.eye(IN)), ("left", U)])
    np.testing.assert_allclose(left, U @ whole.T, rtol=1e-5, atol=1e-5)
    (whole, right), _ = used([("left", jnp.eye(OUT)), ("right", X)])
    np.testing.assert_allclose(right, X @ whole.T, rtol=1e-5, atol=1e-5)


def test_dependent_rows_have_no_direction():
    every = jnp.concatenate([X, X[:2], X[:1] + X[1:2], 0 * X[:1], 1e-30 * X[1:2]])
    split = jax.jit(split_rows)(every, jnp.zeros((0, IN)))
    assert np.all(np.asarray(split.directions[4:]) == 0)
    again = jax.jit(split_rows)(every, split.directions)
    assert np.all(np.asarray(again.directions) == 0)
    np.testing.assert_allclose(split.new @ split.directions, every, atol=1e-5)


def test_rows_that_are_not_finite_spoil_only_themselves():
    broken = X.at[1, 2].set(jnp.nan).at[2, 0].set(jnp.inf)
    uses = [("right", broken), ("right", X), ("left", U)]
    (first, second, third), state = used(uses)
    assert np.array_equal(np.isnan(first).all(axis=1), [False, True, True, False])
    assert all(np.all(np.isfinite(leaf)) for leaf in state)
    kept = [("right", X[::3]), ("right", X), ("left", U)]
    assert_one_matrix(kept, [first[::3], second, third])


def test_float64():
    with jax.enable_x64(True):
        uses = [(side, jnp.asarray(own, jnp.float64)) for side, own in SEQUENCES["alternating"]]
        found, state = used(uses, dtype=jnp.float64)
        assert all(leaf.dtype == jnp.float64 for leaf in (*found, *state))
        assert_one_matrix(uses, found, tolerance=1e-13)


def test_law_of_adaptive_uses():
    """Rows of a use depend on all results before."""

    def explicit(key):
        w = jax.random.normal(key, (IN, OUT))
        y = X[:2] @ w
        v = (y / 3 + U[:2]) @ w.T
        z = (jnp.tanh(v) + X[1:3]) @ w
        return statistics(y, v, z, (z[:, ::-1] / 3) @ w.T)

    def deferred(key):
        keys = jax.random.split(key, 4)
        state = unseen((), IN, OUT, jnp.float32)
        y, state = apply_right(state, X[:2], keys[0])
        v, state = apply_left(state, y / 3 + U[:2], keys[1])
        z, state = apply_right(state, jnp.tanh(v) + X[1:3], keys[2])
        t, _ = apply_left(state, z[:, ::-1] / 3, keys[3])
        return statistics(y, v, z, t)

    def statistics(y, v, z, t):
        cross = jnp.stack([v[0] @ X[0], y[0] @ z[1], t[0] @ v[1]])
        entries = jnp.concatenate([y[0, :2], v[0, :1], z[0, :2], jnp.tanh(cross / 20)])
        return jnp.append(jnp.tanh(entries), jnp.log(jnp.sum(t**2)))

    sample = lambda f, seed: np.asarray(
        jax.jit(jax.vmap(f))(jax.random.split(jax.random.key(seed), 4000)), np.float64
    )
    assert farthest(sample(explicit, 0), sample(deferred, 1)) < SIGMAS


def test_batches_are_independent_matrices():
    uses = jnp.stack([X, X])
    keys = jax.random.split(jax.random.key(1), 2)
    state = unseen((2,), IN, OUT, jnp.float32)
    found, _ = jax.jit(batched(apply_right, 1))(state, uses, keys)
    alone, _ = jax.jit(apply_right)(unseen((), IN, OUT, jnp.float32), X, keys[1])
    np.testing.assert_allclose(found[1], alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found[0], found[1])


def test_first_orthonormal_rows_have_independent_normals_as_images():
    state = unseen((), IN, OUT, jnp.float32)
    found, _ = jax.jit(apply_right)(state, jnp.eye(IN)[:4], jax.random.key(7))
    np.testing.assert_allclose(
        found, paired_normals(jax.random.key(7), (4, OUT), jnp.float32), rtol=1e-6
    )
