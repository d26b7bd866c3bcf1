"""Every product with a drawn array, and cotangents there, by names of modules."""

import collections
import contextlib
import fnmatch
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.deferral.descent import Site, has_own_derivative, inner_function, marked
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Constant, Equation, Operand, Program, flatten
from deepinit.deferral.scans import layout_of
from deepinit.deferral.simplify import simplified

Match = str | Callable[[str], bool] | None
Scalar = bool | Callable[[Any], Any] | None
Edit = Callable[[Any], Any] | None


class Tap(NamedTuple):
    """A product with a drawn array, [*loops, *batch, *rows, *columns].

    Attributes:
        value: the product, a bias not added.
        cotangent: derivative of a scalar by it.
    """

    value: Any
    cotangent: Any


def taps(
    f: Callable[..., Any], match: Match = None, *, gradients: Scalar = None, edit: Edit = None
) -> Callable[..., Any]:
    """A function with the products of f with its drawn arrays added to its outputs.

    Products are those with arrays that are linear in an array of `jax.random`: matrix products,
    convolutions and look-ups of rows whose results f needs. The forward pass inside `model.init` is
    not needed. Uses inside `while` and `cond` are not seen.

    Args:
        f: any JAX function of a key and arrays.
        match: names to keep, as a glob pattern or a predicate; None for all.
        gradients: a real scalar function of the outputs of f, or True if f returns one: cotangents
            of its value at the products are added.
        edit: function of each of these products, whose value f goes on with (`lax.stop_gradient`:
            derivatives at a product are those of its own array); values are as before.

    Returns:
        A function of the same arguments to (outputs of f, {name: value}), or {name: Tap} with
        gradients. Values are [*rows, *columns], in loops with an axis of steps in front: blocks of
        a scanned stack. Names are those of the modules (`jax.named_scope`), or of the draw; `#2`
        stands at the second use.

    Raises:
        SpecError: no name matches; the scalar is none. When called.

    `deferred(taps(f))` has the joint law of all of them.
    """
    if not callable(f):
        raise SpecError(f"f={f!r}", "a function f(key, *args)", "taps(lambda key, x: ...)")
    if not (match is None or isinstance(match, str) or callable(match)):
        raise SpecError(f"match={match!r}", "a pattern or a function of names", "match='*/Dense_0'")
    if not (gradients is None or isinstance(gradients, bool) or callable(gradients)):
        allowed = "True, or a function of the outputs to a scalar"
        raise SpecError(f"gradients={gradients!r}", allowed, "gradients=jnp.sum")

    @functools.cache
    def of_leaves(tree: Any) -> Any:
        return jax.jit(lambda *leaves: _tapped(f, match, gradients, edit, tree, leaves))

    @functools.wraps(f)
    def g(key: Any, *args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten(((key, *args), kwargs))
        outputs, values = of_leaves(tree)(*leaves)
        return outputs, dict(values)

    return g


def tap_sites(f: Callable[..., Any], match: Match, key: Any, *args: Any) -> list[Site]:
    """The taps of a function at arguments, or their shapes, in order of evaluation."""
    leaves, tree = jax.tree.flatten(((key, *args), {}))
    return _matched(_with_unique_names(_traced(f, tree, leaves)[2]), match)


def _tapped(f: Any, match: Match, gradients: Scalar, edit: Edit, tree: Any, leaves: Any) -> Any:
    program, outputs, every = _traced(f, tree, leaves)
    sites = _matched(_with_unique_names(every), match)

    def whole(zeros: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        found, values = _run(program, leaves, sites, zeros, (), edit)
        return jax.tree.unflatten(outputs, found), values

    in_order = lambda tap: collections.OrderedDict((site.name, tap(site.name)) for site in sites)
    if gradients is None or gradients is False:
        found, values = whole({})
        return found, in_order(values.__getitem__)

    def scalar(zeros: dict[str, Any]) -> Any:
        found, values = whole(zeros)
        return _scalar(found if gradients is True else gradients(found)), (found, values)

    zeros = {site.name: jnp.zeros(site.shape, site.dtype) for site in sites}
    cotangents, (found, values) = jax.grad(scalar, has_aux=True)(zeros)
    return found, in_order(lambda name: Tap(values[name], cotangents[name]))


def _scalar(value: Any) -> Any:
    leaves = jax.tree.leaves(value)
    types = [f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}" for leaf in leaves]
    if types not in (["float32[]"], ["float64[]"]) or leaves[0] is not value:
        given = f"gradients of {', '.join(types) or 'nothing'}"
        raise SpecError(given, "a real scalar", "gradients=lambda outputs: jnp.sum(outputs)")
    return value


def _traced(f: Any, tree: Any, leaves: Any) -> tuple[Program, Any, tuple[Site, ...]]:
    """The program of f, the tree of its outputs, and the sites.

    Functions with derivative rules of their own stay calls, but for those with sites inside.
    """

    def flat(*leaves: Any) -> Any:
        args, kwargs = jax.tree.unflatten(tree, leaves)
        return f(*args, **kwargs)

    closed, shapes = jax.make_jaxpr(flat, return_shape=True)(*leaves)
    inlined: frozenset[int] = frozenset()
    while True:
        program = simplified(flatten(closed, functools.partial(_is_call, inlined)))
        found = marked(program, {})
        if found.inner <= inlined:
            return program, jax.tree.structure(shapes), found.sites
        inlined |= found.inner


def _is_call(inlined: frozenset[int], eqn: Any) -> bool:
    return has_own_derivative(eqn) and id(inner_function(eqn)) not in inlined


def _with_unique_names(sites: tuple[Site, ...]) -> list[Site]:
    """`#2` at the second of one name."""
    count: collections.Counter[str] = collections.Counter()
    found = []
    for site in sites:
        count[site.name] += 1
        times = count[site.name]
        found.append(site if times == 1 else site._replace(name=f"{site.name}#{times}"))
    return found


def _matched(sites: list[Site], match: Match) -> list[Site]:
    if match is None:
        return sites
    is_match = match if callable(match) else lambda name: fnmatch.fnmatchcase(name, match)
    found = [site for site in sites if is_match(site.name)]
    if not found:
        names = ", ".join(site.name for site in sites) or "none: no drawn array acts"
        raise SpecError(f"match={match!r}, which no tap has", f"names among {names}", "match=None")
    return found


def _run(
    program: Program,
    inputs: Any,
    sites: list[Site],
    zeros: dict[str, Any],
    path: tuple[int, ...],
    edit: Edit,
) -> tuple[list[Any], dict[str, Any]]:
    """Outputs, and values at sites, to which zeros are added."""
    known: dict[int, Any] = dict(zip(program.inputs, inputs, strict=True))
    values: dict[str, Any] = {}

    def value(operand: Operand) -> Any:
        return operand.value if isinstance(operand, Constant) else known.get(operand)

    for number, equation in enumerate(program.equations):
        here = (*path, number)
        own = [site for site in sites if site.path[: len(here)] == here]
        operands = [value(operand) for operand in equation.inputs]
        evaluate = _product if equation.body is None else _loop
        with contextlib.ExitStack() as scopes:
            for part in filter(None, equation.name.split("/")):
                scopes.enter_context(jax.named_scope(part))
            found, recorded = evaluate(equation, operands, own, zeros, here, edit)
        known |= zip(equation.outputs, found, strict=True)
        values |= recorded
    return [value(operand) for operand in program.outputs], values


def _product(
    equation: Equation,
    operands: list[Any],
    sites: list[Site],
    zeros: dict[str, Any],
    path: Any,
    edit: Edit,
) -> tuple[list[Any], dict[str, Any]]:
    found = bind(equation, operands)
    if not sites:
        return found, {}
    ((_, name, order, *_),) = sites
    if name in zeros:
        found = [found[0] + jnp.transpose(zeros[name], np.argsort(order).tolist())]
    value = jnp.transpose(found[0], order)
    return found if edit is None else [edit(found[0])], {name: value}


def _loop(
    equation: Equation,
    operands: list[Any],
    sites: list[Site],
    zeros: dict[str, Any],
    path: Any,
    edit: Edit,
) -> tuple[list[Any], dict[str, Any]]:
    """Values are stacked; parts of the loop that nobody needs are None."""
    layout, body = layout_of(equation), equation.body
    assert body is not None
    if not sites and all(operand is not None for operand in operands):
        return bind(equation, operands), {}
    first, last = layout.num_consts, layout.num_consts + layout.num_carry
    is_dead = [isinstance(out, Constant) and out.value is None for out in body.outputs]
    carry = [
        None if dead else jnp.asarray(operand)
        for dead, operand in zip(is_dead, operands[first:last], strict=False)
    ]

    def step(carry: Any, slices: Any) -> tuple[Any, Any]:
        xs, own = slices
        arguments = (*operands[:first], *carry, *xs)
        found, values = _run(body, arguments, sites, own, path, edit)
        after = [
            None if old is None else jnp.asarray(new, old.dtype)
            for old, new in zip(carry, found, strict=False)
        ]
        return after, (found[layout.num_carry :], values)

    slices = operands[last:], {site.name: zeros[site.name] for site in sites if site.name in zeros}
    carry, (ys, values) = jax.lax.scan(
        step, carry, slices, layout.length, layout.reverse, layout.unroll
    )
    return [*carry, *ys], values
