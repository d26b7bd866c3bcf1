"""`deferred`: the law of a function, its Gaussian matrices drawn only as far as they act."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from deepinit.core.errors import SpecError
from deepinit.deferral.arguments import Structure, split_arguments
from deepinit.deferral.interpret import run
from deepinit.deferral.listing import SMALL, law_reason
from deepinit.deferral.plan import SHARE, fresh, planned
from deepinit.deferral.program import Program, flatten
from deepinit.deferral.rules import RULES
from deepinit.deferral.session import Decisions, Session
from deepinit.deferral.simplify import simplified
from deepinit.deferral.versions import misread
from deepinit.deferral.warn import warn_user

_SOURCE = "__deferred__"
_SEE = "see di.explain(f)(key, ...)"
_GAUSSIAN = (
    "the law is right, wide networks take longer; Gaussian initializers, gaussianize=True or "
    "with_gaussian_weights() of a Network defer"
)


def deferred(f: Callable[..., Any], *, gaussianize: bool = False) -> Callable[..., Any]:
    """A function of the joint law of `f(key, *args)` that does not form its Gaussian matrices.

    Each product of k rows with a Gaussian matrix draws only what the matrix does to new directions
    in these rows, given all it was seen to do before, from either side. What has no rule is drawn
    by f's own equation and key.

    Args:
        f: any JAX function of a key and arrays, which draws arrays from the key and computes.
            Arguments that are neither arrays nor numbers (booleans, texts) are static, as in jit.
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
    return transformed(*source_of(f, gaussianize))


def transformed(
    f: Callable[..., Any], gaussianize: bool = False, share: float = SHARE
) -> Callable[..., Any]:
    """`deferred`; arrays are explicit from a share of numbers drawn on."""

    warn = functools.cache(warn_user)  # once a function

    @functools.cache
    def of_arrays(structure: Structure) -> Any:
        return _guarded(f, gaussianize, share, structure, warn)

    @functools.wraps(f)
    def g(key: Any, *args: Any, **kwargs: Any) -> Any:
        arrays, structure = split_arguments((key, *args), kwargs)
        return of_arrays(structure)(*arrays)

    vars(g)[_SOURCE] = Source(f, gaussianize)
    return g


class Source(NamedTuple):
    """What a deferred function was made of."""

    f: Callable[..., Any]
    gaussianize: bool


def source_of(f: Callable[..., Any], gaussianize: bool) -> Source:
    """Of a deferred function; of another one itself."""
    source: Source | None = getattr(f, _SOURCE, None)
    is_own = source is not None and source.f is getattr(f, "__wrapped__", None)  # not by `wraps`
    if source is None or not is_own:
        return Source(f, gaussianize)
    return Source(source.f, gaussianize or source.gaussianize)


def _guarded(f: Any, gaussianize: bool, share: float, structure: Structure, warn: Any) -> Any:
    @jax.custom_jvp
    def guarded(*leaves: Any) -> Any:
        return computed(*leaves)

    @jax.jit
    def computed(*leaves: Any) -> Any:
        program, decisions, outputs = prepared(f, structure, leaves, gaussianize, share)
        text = _warning(decisions)
        if text:
            warn(text)
        if decisions.failure or set(decisions.drawn) <= set(decisions.explicit):
            return structure.call(f, leaves)
        try:
            session = Session(fresh(decisions), False, gaussianize, RULES)
            values = run(session, program, leaves)
            found = [session.formed(value, "returned") for value in values]
        except Exception as error:  # noqa: BLE001 - the equations of f hold whatever fails here
            warn(_failed(f"{type(error).__name__}: {error}"))
            return structure.call(f, leaves)
        return jax.tree.unflatten(outputs, found)

    @guarded.defjvp
    def refuse(primals: Any, tangents: Any) -> Any:
        raise TypeError(
            "a derivative of a deferred function would miss what its matrices do to new directions;"
            " differentiate inside: deferred(lambda key, x: jax.grad(...)(x))"
        )

    return guarded


def _shape(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


class Prepared(NamedTuple):
    """A program, what is decided about its draws, and the tree of its outputs."""

    program: Program
    decisions: Decisions
    outputs: Any


def prepared(
    f: Any, structure: Structure, leaves: Any, gaussianize: bool = False, share: float = SHARE
) -> Prepared:
    """Of f at these arrays; decisions with a failure if f is not understood."""
    closed, outputs = _jaxpr(f, structure, leaves)
    failure = misread()
    if not failure:
        try:
            program = simplified(flatten(closed))
            decisions = planned(program, tuple(map(_shape, leaves)), gaussianize, share)
            return Prepared(program, decisions, outputs)
        except Exception as error:  # noqa: BLE001 - the equations of f hold whatever fails here
            failure = f"{type(error).__name__}: {error}"
    return Prepared(Program((), (), ()), Decisions(failure=failure), outputs)


def traced(f: Any, structure: Structure, leaves: Any) -> tuple[Program, Any]:
    """The simplified program of f, and the tree of its outputs."""
    closed, outputs = _jaxpr(f, structure, leaves)
    return simplified(flatten(closed)), outputs


def _jaxpr(f: Any, structure: Structure, leaves: Any) -> tuple[Any, Any]:
    def flat(*leaves: Any) -> Any:
        return structure.call(f, leaves)

    with jax.disable_jit(False):  # draws are recognized by the names of jitted functions
        closed, shapes = jax.make_jaxpr(flat, return_shape=True)(*leaves)
    return closed, jax.tree.structure(shapes)


def _failed(error: str) -> str:
    return f"deferred: planning failed, every array is drawn ({error}); {_SEE}"


def _warning(decisions: Decisions) -> str:
    """Where nothing is deferred."""
    if decisions.failure:
        return "" if misread() else _failed(decisions.failure)
    if not decisions.drawn:
        return f"deferred: no normal or uniform array is drawn with jax.random; {_SEE}"
    reasons = {decisions.explicit.get(name, "") for name in decisions.drawn} - {SMALL}
    if not reasons or "" in reasons:
        return ""
    reason = min(reasons) if len(reasons) == 1 else f"{len(reasons)} reasons"
    laws = {law_reason(array.law) for array in decisions.drawn.values()}
    remedy = f"; {_GAUSSIAN}" if reasons <= laws else ""
    return f"deferred: no matrix is deferred ({reason}){remedy}; {_SEE}"
