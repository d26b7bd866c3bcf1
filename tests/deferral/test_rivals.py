"""Wrong ways to defer that the tests of laws reject."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, backward, distance, matrix
from two_samples import SIGMAS

from deepinit.deferral import action, conditioning, listing, simplify
from deepinit.deferral.keys import KeySharing

N = WIDTH


def two_sides(key, x):
    w = matrix(key, N, N)
    return backward(lambda x: jnp.tanh(jnp.tanh(x @ w) @ w.T) @ w, x)


def repeated_rows(key, x):
    w = matrix(key, N, N)
    x = jnp.concatenate([x[:2], x[:2], x[:1] - x[1:2]])
    return backward(lambda x: jnp.tanh(jnp.tanh(x @ w) @ w.T), x)


def tied_layers(key, x):
    """Blocks of one key, as in equinox's example of a vision transformer."""
    return backward(lambda x: jnp.tanh(jnp.tanh(x @ matrix(key, N, N)) @ matrix(key, N, N).T), x)


def experts(key, x):
    w = matrix(key, 3, N, N)
    return backward(lambda x: jnp.tanh(jnp.einsum("ltn,lnm->ltm", x, w)), jnp.stack([x[:1]] * 3))


def stack(key, x):
    w = matrix(key, 2, N, N)
    step = lambda x, w: (jnp.tanh(x @ w), None)
    f = lambda x: jax.lax.scan(step, jax.lax.scan(step, x, w)[0], w)[0]
    return backward(f, x)


def recurrent(key, x):
    w = matrix(key, N, N)
    step = lambda h, _: (jnp.tanh(jnp.tanh(h @ w) @ w.T), None)
    return backward(lambda x: jax.lax.scan(step, x[:1], None, 3)[0], x)


def without(*fields):
    """Uses that know nothing of some arrays of the state."""
    known = conditioning.apply_right

    def apply(state, rows, key, split=None):
        empty = {name: getattr(state, name)[:0] for name in fields}
        result, after = known(state._replace(**empty), rows, key, None)
        old = {name: getattr(state, name) for name in fields}
        both = {name: jnp.concatenate([own, getattr(after, name)]) for name, own in old.items()}
        return result, after._replace(**both)

    return apply


def plant(monkeypatch, apply):
    def left(state, rows, key, split=None):
        result, after = apply(conditioning._transposed(state), rows, key, split)
        return result, conditioning._transposed(after)

    monkeypatch.setattr(action, "apply_right", apply)
    monkeypatch.setattr(action, "apply_left", left)


def left_state_ignored(monkeypatch):
    plant(monkeypatch, without("columns", "preimages"))


def fresh_on_the_second_use(monkeypatch):
    plant(monkeypatch, without("rows", "images", "columns", "preimages"))


def dependent_rows_with_directions(monkeypatch):
    """Residuals normalized whatever their size: rounding is a direction of the old span."""

    def orthonormalize(rows, known=None):
        every = rows[:0] if known is None else known
        lines = []
        for row in rows:
            along = every @ row
            rest = row - along @ every
            size = jnp.sqrt(jnp.sum(rest**2))
            lines.append(jnp.append(along, size))
            every = jnp.concatenate([every, rest[None] / (size + 1e-30)])
        width = len(every)
        lower = jnp.stack([jnp.pad(line, (0, width - len(line))) for line in lines])
        return every[width - len(rows) :], lower

    monkeypatch.setattr(conditioning, "orthonormalize_any_rows", orthonormalize)


def one_key_as_two_arrays(monkeypatch):
    known = simplify.identity
    monkeypatch.setattr(
        simplify, "identity", lambda equation: None if equation.draw else known(equation)
    )
    monkeypatch.setattr(listing, "key_sharing", lambda program, shapes: KeySharing((), ()))


def one_key_for_a_stack(monkeypatch):
    def repeated(keys, place, size):
        return jnp.broadcast_to(
            jnp.expand_dims(keys, place), (*keys.shape[:place], size, *keys.shape[place:])
        )

    monkeypatch.setattr(action, "with_axis", repeated)
    monkeypatch.setattr("deepinit.deferral.stacks.with_axis", repeated)


def steps_forgotten(monkeypatch):
    monkeypatch.setattr(
        "deepinit.deferral.rules.loops.written", lambda state, found, index, counts: state
    )


def slices_forgotten(monkeypatch):
    monkeypatch.setattr(
        "deepinit.deferral.rules.loops._goes_on", lambda session, name, after, before: False
    )


RIVALS = {
    "left_state_ignored": (left_state_ignored, two_sides),
    "fresh_on_the_second_use": (fresh_on_the_second_use, two_sides),
    "dependent_rows_with_directions": (dependent_rows_with_directions, repeated_rows),
    "one_key_as_two_arrays": (one_key_as_two_arrays, tied_layers),
    "one_key_for_a_stack": (one_key_for_a_stack, experts),
    "steps_forgotten": (steps_forgotten, recurrent),
    "slices_forgotten": (slices_forgotten, stack),
}


@pytest.mark.slow_cases("left_state_ignored", "dependent_rows_with_directions")
@pytest.mark.slow_cases("steps_forgotten", "slices_forgotten", "one_key_for_a_stack")
@pytest.mark.parametrize("name", RIVALS)
def test_rival_is_rejected(name, monkeypatch):
    plant_it, f = RIVALS[name]
    assert distance(f, ROWS, adjoint=False) < SIGMAS
    plant_it(monkeypatch)
    assert distance(f, ROWS, adjoint=False) > 1.5 * SIGMAS
