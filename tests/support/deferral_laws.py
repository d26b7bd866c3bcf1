"""Whether a deferred function has the law of the function, and which arrays it defers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from two_samples import SIGMAS, farthest, samples

from deepinit.deferral.arguments import split_arguments
from deepinit.deferral.function import prepared, transformed
from deepinit.deferral.session import Decisions

ALWAYS = 9.0  # share from which arrays are explicit: narrow matrices are deferred too
KEY = jax.random.key(0)
WIDTH = 24
ROWS = jax.random.normal(jax.random.key(5), (4, WIDTH))


def matrix(key: Any, *shape: int) -> Any:
    """Normal entries of variance 1 over the last axis but one."""
    return jax.random.normal(key, shape) * shape[-2] ** -0.5


def matrices(key: Any, number: int, *shape: int) -> list[Any]:
    """Independent ones."""
    return [matrix(own, *shape) for own in jax.random.split(key, number)]


def values(y: Any) -> Any:
    """An entry, an inner product and a log norm of rows."""
    rows = y.reshape(-1, y.shape[-1])
    return jnp.stack([rows[0, 0], rows[0] @ rows[-1], jnp.log(jnp.sum(rows[0] ** 2))])


def backward(f: Callable[[Any], Any], x: Any) -> Any:
    """Values, an inner product, log norms of values and of a gradient, and a covariance of both."""
    y, pull = jax.vjp(f, x)
    gradient = pull(cotangent_of(y))[0]
    back = gradient.reshape(-1, gradient.shape[-1])[0]
    covariance = back @ x.reshape(-1, x.shape[-1])[-1]
    return jnp.stack([*values(y), jnp.log(jnp.sum(gradient**2)), covariance])


def forward_backward(f: Callable[[Any], Any], x: Any) -> Any:
    """`backward`, the log norm of a tangent J g of the gradient g, and <c, J g> / <J^T c, g>."""
    y, pull = jax.vjp(f, x)
    gradient = pull(cotangent_of(y))[0]
    tangent = jax.jvp(f, (x,), (gradient,))[1]
    ratio = jnp.sum(cotangent_of(y) * tangent) / jnp.sum(gradient**2)
    return jnp.stack([*backward(f, x), jnp.log(jnp.sum(tangent**2)), ratio])


def cotangent_of(y: Any) -> Any:
    """1 to 2, that no rows of mean zero hide."""
    return jnp.linspace(1.0, 2.0, y.size).reshape(y.shape)


def decisions(f: Any, *args: Any, gaussianize: bool = False, share: float = ALWAYS) -> Decisions:
    """The plan of f at KEY and arguments."""
    arrays, structure = split_arguments((KEY, *args), {})
    shapes = jax.eval_shape(lambda *leaves: leaves, *arrays)
    found = prepared(f, structure, shapes, gaussianize, share).decisions
    assert not found.failure, found.failure
    return found


def deferred_shapes(f: Any, *args: Any, **settings: Any) -> list[tuple[int, ...]]:
    """Of the arrays that are deferred, in order."""
    found = decisions(f, *args, **settings)
    return [array.shape for name, array in found.drawn.items() if name not in found.explicit]


def reasons(f: Any, *args: Any, **settings: Any) -> list[str]:
    """Why arrays are explicit; small ones are left out."""
    found = decisions(f, *args, **settings).explicit.values()
    return [reason for reason in found if reason != "small"]


def assert_law(
    f: Any,
    *args: Any,
    deferred: list[tuple[int, ...]],
    num: int = 2000,
    gaussianize: bool = False,
    explicit: Any = None,
    adjoint: bool = True,
    seed: int = 0,
) -> None:
    """deferred(f) has the law of f, and defers these arrays.

    Args:
        f: (key, *args) -> statistics; with `adjoint` the last is 1 up to rounding.
        explicit: what has the law of f, if not f.
    """
    assert deferred_shapes(f, *args, gaussianize=gaussianize) == deferred
    off = distance(
        f, *args, num=num, gaussianize=gaussianize, explicit=explicit, adjoint=adjoint, seed=seed
    )
    assert off < SIGMAS, f"off by {off:.2f} standard errors"


def distance(
    f: Any,
    *args: Any,
    num: int = 2000,
    gaussianize: bool = False,
    explicit: Any = None,
    adjoint: bool = True,
    seed: int = 0,
) -> float:
    """Of the laws of f and of deferred(f), in standard errors: marginals and covariances."""
    settings = {"num": num, "batch": min(num, 250)}
    first = samples(f if explicit is None else explicit, *args, seed=seed, **settings)
    second = samples(transformed(f, gaussianize, ALWAYS), *args, seed=seed + 1, **settings)
    if adjoint:
        np.testing.assert_allclose(first[:, -1], 1, atol=1e-3)
        np.testing.assert_allclose(second[:, -1], 1, atol=1e-3)
        first, second = first[:, :-1], second[:, :-1]
    return farthest(*light_tailed(first, second))


def light_tailed(first: Any, second: Any) -> tuple[Any, Any]:
    """Coordinates of two samples [num, n] in (-1, 1), and their products in pairs."""
    center = np.median(first, axis=0)
    spread = 2 * np.median(np.abs(first - center), axis=0)
    pairs = np.triu_indices(first.shape[1], 1)
    found = []
    for sample in (first, second):
        bounded = np.tanh((sample - center) / spread)
        found.append(np.concatenate([bounded, bounded[:, pairs[0]] * bounded[:, pairs[1]]], axis=1))
    return found[0], found[1]
