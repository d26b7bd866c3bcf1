"""`deferred`: the law of a function, its Gaussian matrices drawn only as far as they act."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax

from deepinit.core.errors import SpecError
from deepinit.deferral.interpret import run
from deepinit.deferral.plan import SHARE, fresh, planned
from deepinit.deferral.program import Program, flatten
from deepinit.deferral.rules import RULES
from deepinit.deferral.session import Decisions, Session
from deepinit.deferral.simplify import simplified


def deferred(f: Callable[..., Any], *, gaussianize: bool = False) -> Callable[..., Any]:
    """A function of the joint law of `f(key, *args)` that does not form its Gaussian matrices.

    Each product of k rows with a Gaussian matrix draws only what the matrix does to new directions
    in these rows, given all it was seen to do before, from either side. What has no rule is drawn
    by f's own equation and key.

    Args:
        f: any JAX function of a key and arrays, which draws arrays from the key and computes.
        gaussianize: replace truncated normal and uniform arrays by Gaussian ones of the same mean
            and variance. An approximation: relative errors of order 1/width.

    Returns:
        A function of the same arguments, under jit, vmap and scan as any other. Its values are not
        those of f; their law is, jointly over all outputs of one call. Two calls with one key are
        not one network at two inputs: put all inputs and measurements into one f.

    Raises:
        TypeError: when differentiated. Differentiate inside: deferred(lambda key, x: grad(...)(x)).

    Reference: principle of deferred decisions; exact at every width (deferred.conditioning).
    """
    if not callable(f):
        raise SpecError(f"f={f!r}", "a function f(key, *args)", "deferred(lambda key, x: ...)")
    return transformed(f, gaussianize)


def transformed(
    f: Callable[..., Any], gaussianize: bool = False, share: float = SHARE
) -> Callable[..., Any]:
    """`deferred`; arrays are explicit from a share of numbers drawn on."""

    @functools.cache
    def of_leaves(tree: Any) -> Any:
        return _guarded(f, gaussianize, share, tree)

    @functools.wraps(f)
    def g(key: Any, *args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten(((key, *args), kwargs))
        return of_leaves(tree)(*leaves)

    return g


def _guarded(f: Any, gaussianize: bool, share: float, tree: Any) -> Any:
    @jax.custom_jvp
    def guarded(*leaves: Any) -> Any:
        return computed(*leaves)

    @jax.jit
    def computed(*leaves: Any) -> Any:
        program, outputs = traced(f, tree, leaves)
        decisions = planned(program, tuple(map(_shape, leaves)), gaussianize, share)
        if set(decisions.drawn) <= set(decisions.explicit):
            _warn(decisions)
            args, kwargs = jax.tree.unflatten(tree, leaves)
            return f(*args, **kwargs)
        session = Session(fresh(decisions), False, gaussianize, RULES)
        found = run(session, program, leaves)
        return jax.tree.unflatten(outputs, [session.formed(value, "returned") for value in found])

    @guarded.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        raise TypeError(
            "a derivative of a deferred function would miss what its matrices do to new directions;"
            " differentiate inside: deferred(lambda key, x: jax.grad(...)(x))"
        )

    return guarded


def _shape(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def traced(f: Any, tree: Any, leaves: Any) -> tuple[Program, Any]:
    """The simplified program of f, and the tree of its outputs."""

    def flat(*leaves: Any) -> Any:
        args, kwargs = jax.tree.unflatten(tree, leaves)
        return f(*args, **kwargs)

    closed, shapes = jax.make_jaxpr(flat, return_shape=True)(*leaves)
    return simplified(flatten(closed)), jax.tree.structure(shapes)


def _warn(decisions: Decisions) -> None:
    if not decisions.drawn:
        warnings.warn("deferred: the function draws no array with jax.random", stacklevel=2)
