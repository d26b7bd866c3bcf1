"""`scan` over slices of drawn arrays, with arrays drawn inside, and with one array in every step.

The matrices of a slice are independent of those of the others: what is known of them enters and
leaves as slices. What is known of an array that every step uses is carried in buffers.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.interpret import bind, run
from deepinit.deferral.loop_views import parts_before
from deepinit.deferral.program import Constant, Equation, Program
from deepinit.deferral.rules.loop_states import at_step, slots_of, written
from deepinit.deferral.scans import Layout, layout_of
from deepinit.deferral.session import Base, Session, root
from deepinit.deferral.stacks import found_in, known_slices, slice_of, sliced, stack_of, stacked
from deepinit.deferral.values import Blocks, Gauss, Implicit, NotDeferred


def _scan(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    body = equation.body
    if body is None:
        raise NotDeferred("loop with parameters of an unknown form")
    path = (*session.path, number)
    is_deferred = any(isinstance(value, Implicit | Blocks) for value in values) or any(
        draw not in session.decisions.explicit for draw in _draws(body, path)
    )
    if not is_deferred and all(value is not None for value in values):
        return bind(equation, values)
    return looped(session, number, equation, values)


def looped(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Outputs of a scan, step by step of its body."""
    layout, body = layout_of(equation), equation.body
    assert body is not None
    first = layout.num_consts + layout.num_carry
    carry = [
        None if _is_dead(out) else jnp.asarray(session.formed(value, "carried through a loop"))
        for out, value in zip(body.outputs, values[layout.num_consts : first], strict=False)
    ]
    if layout.length == 0:
        ys = equation.shapes[layout.num_carry :]
        return [*carry, *(jnp.zeros(y.shape, y.dtype) for y in ys)]
    xs = [
        session.formed(value, "sliced in a loop") if isinstance(value, Blocks) else value
        for value in values[first:]
    ]
    loop = _once if layout.length == 1 else _loop
    return loop(session, number, layout, body, values[: layout.num_consts], carry, xs)


def _is_dead(output: Any) -> bool:
    return isinstance(output, Constant) and output.value is None


def _draws(program: Program, path: tuple[int, ...]) -> Iterator[Any]:
    """Names of all draws, of inner loops too."""
    for number, equation in enumerate(program.equations):
        if equation.draw is not None:
            yield "draw", path, number
        elif equation.body is not None:
            yield from _draws(equation.body, (*path, number))


def _once(
    session: Session, number: int, layout: Layout, body: Program, consts: Any, carry: Any, xs: Any
) -> list[Any]:
    """A loop of one step."""

    def with_axes(value: Any, axes: Any, shape: Any) -> Implicit:
        terms = (dataclasses.replace(term, axes=axes(term.axes)) for term in value.terms)
        return Implicit(tuple(terms), shape, value.dtype)

    def first(value: Any) -> Any:
        if not isinstance(value, Implicit):
            return None if value is None else value[0]
        return with_axes(value, lambda axes: axes[1:], value.shape[1:])

    def alone(value: Any) -> Any:
        if not isinstance(value, Implicit):
            return None if value is None else jnp.asarray(value)[None]
        return with_axes(value, lambda axes: ((), *axes), (1, *value.shape))

    child = session.inside(number, 1)
    child.bases, child.computed = session.bases, session.computed
    found = run(child, body, (*consts, *carry, *map(first, xs)))
    return [*found[: layout.num_carry], *map(alone, found[layout.num_carry :])]


def _loop(
    session: Session, number: int, layout: Layout, body: Program, consts: Any, carry: Any, xs: Any
) -> list[Any]:
    length = layout.length
    consts, whole_parts = _with_parts(session, body, 0, consts, None)
    xs, parts = _with_parts(session, body, layout.num_consts + layout.num_carry, xs, length)
    num_xs = len(xs)
    consts, xs = _whole_or_slices(session, consts, whole_parts, xs, parts)
    xs, atoms = _entering(session, [*xs, *parts.values()])
    outer = {name: session.bases[name] for name in atoms}
    known = {name: known_slices(outer[name], atom) for name, atom in atoms.items()}
    kept = {
        name: session.bases[name]
        for value in (*consts, *whole_parts.values())
        for name in getattr(value, "bases", ())
    }
    after: dict[str, Any] = {}  # bases after a step, as the last trace found them

    def step(carry: Any, entering: Any, repeated: dict[Any, Base]) -> tuple[Any, Any]:
        child = session.inside(number, length)
        slices, states = entering
        own = {name: slice_of(outer[name], atom, states[name]) for name, atom in atoms.items()}
        child.bases = {**repeated, **own}
        before = set(child.bases)
        seen = whole_parts | dict(zip(parts, slices[num_xs:], strict=True))
        found = run(child, body, (*consts, *carry, *slices[:num_xs]), seen)
        _refuse_new_parts(child, before)
        final = [
            None if old is None else _typed(child.formed(new, "carried through a loop"), old)
            for old, new in zip(carry, found, strict=False)
        ]
        ys = [_leaving(child, value, set(kept)) for value in found[layout.num_carry :]]
        named = {
            term.base
            for y in ys
            if isinstance(y, Implicit)
            for term in y.terms
            if isinstance(term, Gauss)
        }
        leaving = {
            name: found_in(base, own.get(name))
            for name, base in child.bases.items()
            if name in named or _goes_on(session, name, base, own.get(name))
        }
        after["bases"] = child.bases
        left, after["left"] = _distinct((ys, leaving))
        return final, left

    repeated = {
        name: dataclasses.replace(base, repeats=base.repeats * length)
        for name, base in kept.items()
    }
    slots = slots_of(repeated, after, lambda: step(carry, _at_start((xs, known)), repeated), length)

    distinct, entered = _distinct((xs, known))

    def whole(carry: Any, entering: Any) -> tuple[Any, Any]:
        index, own, states = carry
        entering = entered(entering)
        repeated = {name: at_step(base, states[name], index) for name, (base, _) in slots.items()}
        own, left = step(own, entering, repeated)
        states = {
            name: written(states[name], after["bases"][name].state, index, counts)
            for name, (_, counts) in slots.items()
        }
        return (index + 1, own, states), left

    start = jnp.zeros((), jnp.int32), carry, {name: base.state for name, (base, _) in slots.items()}
    (_, final, states), left = jax.lax.scan(
        whole, start, distinct, length=length, reverse=layout.reverse
    )
    ys, leaving = after["left"](left)
    bases = after["bases"]
    for name, (base, _) in slots.items():
        uses, repeats = bases[name].uses, kept[name].repeats
        base = dataclasses.replace(base, state=states[name], uses=uses, repeats=repeats)
        session.bases[name] = base
    new_atom = -len(session.path) - 1
    for name, found in leaving.items():
        atom = atoms.setdefault(name, new_atom)
        stack = stack_of(bases[name], atom, length, found, outer.get(name))
        session.bases[name] = stack
    lift = lambda y: stacked(y, length, atoms) if isinstance(y, Implicit) else y
    return [*final, *map(lift, ys)]


def _with_parts(
    session: Session, body: Program, first: int, values: Any, length: int | None
) -> tuple[list[Any], dict[int, Any]]:
    """Operands from one on, None where only parts of them are used; and parts by variables."""
    inputs = dict(zip(body.inputs[first:], values, strict=False))
    parts = parts_before(session, body, inputs, length)
    own = [parts.pop(name, value) for name, value in inputs.items()]
    return own, parts


def _refuse_new_parts(child: Session, before: set[Any]) -> None:
    """A part that is taken in a step of an array from outside is another one in every step."""
    for name in child.bases.keys() - before:
        _, path, _ = root(name)
        if name[0] == "part" and path[: len(child.path)] != child.path:
            child.refuse(name, "used in parts in a loop")


def _goes_on(session: Session, name: Any, after: Base, before: Base | None) -> bool:
    """Whether what a step found of a slice is needed after the loop."""
    if before is None or after.uses == before.uses:
        return False
    return not session.decisions.is_done(name, after)


def _entering(session: Session, xs: list[Any]) -> tuple[list[Any], dict[Any, int]]:
    """Arrays and slices of implicit arrays; atoms of the slices."""
    found: list[Any] = []
    atoms: dict[Any, int] = {}
    for value in xs:
        if isinstance(value, Implicit):
            try:
                value, own = sliced(value, session.bases)
                if any(atoms.get(name, atom) != atom for name, atom in own.items()):
                    raise NotDeferred("sliced in a loop along two axes")
                atoms |= own
            except NotDeferred as refusal:
                value = session.formed(value, str(refusal))
        found.append(value)
    return found, atoms


def _whole_or_slices(
    session: Session, consts: Any, whole_parts: Any, xs: Any, parts: Any
) -> tuple[list[Any], list[Any]]:
    """Constants and slices; formed if others are views of the same arrays."""
    names = lambda values: {name for value in values for name in getattr(value, "bases", ())}
    both = names((*consts, *whole_parts.values())) & names((*xs, *parts.values()))
    both |= {name for name in names(consts) if session.bases[name].parts}
    reason = "used in a loop as a whole and in slices"
    one = lambda value: session.formed(value, reason) if names([value]) & both else value
    return list(map(one, consts)), list(map(one, xs))


def _leaving(child: Session, value: Any, kept: set[Any]) -> Any:
    if isinstance(value, Implicit) and kept & set(value.bases):
        return child.formed(value, "returned from every step of a loop")
    return value


def _typed(new: Any, old: Any) -> Any:
    new = jnp.asarray(new)
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _distinct(tree: Any) -> tuple[list[Any], Any]:
    """Leaves without repetitions, and a function of such leaves that gives the tree: arrays that
    see the same rows share directions, which a loop then holds once.
    """
    leaves, structure = jax.tree.flatten(tree)
    distinct = list({id(leaf): leaf for leaf in leaves}.values())
    place = {id(leaf): at for at, leaf in enumerate(distinct)}
    places = [place[id(leaf)] for leaf in leaves]
    return distinct, lambda found: jax.tree.unflatten(structure, [found[at] for at in places])


def _at_start(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


RULES = {"scan": _scan, "scan concatenated": _scan}
