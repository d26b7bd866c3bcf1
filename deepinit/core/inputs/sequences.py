"""Inputs with positions: sequences, images, tokens.

Tokens are one-hot over the distinct tokens of the inputs: a network's law does not depend on
others, and a vocabulary has no size here.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs.rows import Inputs, checked_seed, from_arrays, points

_LARGEST = 2**27  # one-hot entries: 1 GiB


def arranged(inputs: Any, positions: Sequence[int] | int | None = None) -> Inputs:
    """Inputs with positions: sequences (length,) or images (height, width).

    `arranged(image_pairs(4), (28, 28))`, `arranged(array)`.

    Args:
        inputs: `Inputs` of dimension positions x channels, stored [*positions, channels]; or an
            array [num, *positions, channels].
        positions: of one input, (8, 8) or a length; None for an array's own.

    Raises SpecError: a dimension that positions do not divide; more than two axes of positions.
    """
    positions = (positions,) if isinstance(positions, int) else positions
    if not isinstance(inputs, Inputs):
        array = validate.array("inputs", inputs, remedy="Or give di.inputs.points(rows).")
        if array.ndim not in (3, 4):
            allowed = "[num, length, channels] or [num, height, width, channels]"
            remedy = "Give di.inputs.points(rows) with positions=(8, 8) for flattened rows."
            raise SpecError(f"an array of shape {array.shape}", allowed, remedy)
        own = array.shape[1:-1]
        given = f"positions={positions!r} for an array of shape {array.shape}"
        fits = positions is None or tuple(positions) == own
        validate.require(fits, given, repr(own), "Leave positions out.")
        kind = "sequences" if len(own) == 1 else "images"
        inputs, positions = points(array.reshape(len(array), -1), f"{len(array)} {kind}"), own
    positions = validate.positions("positions", positions)
    count = math.prod(positions)
    given = f"{_by(positions)} positions for inputs of dimension {inputs.dimension}"
    fits = inputs.dimension % count == 0
    validate.require(fits, given, "positions x channels = dimension", "Pad or cut the inputs.")
    return dataclasses.replace(inputs, positions=positions)


def token_ids(ids: Any, partners: Any = None) -> Inputs:
    """Sequences of given tokens, integers [num, length] or [length], and partners of that shape.

    Raises SpecError: ids that are not whole, or of unequal shapes.
    """
    first = _checked_ids("ids", ids)
    label = f"{len(first)} sequences of {first.shape[1]} tokens"
    if partners is None:
        rows = points(_one_hot(first), label)
    else:
        second = _checked_ids("partners", partners)
        given = f"ids of shape {first.shape} with partners of shape {second.shape}"
        same = first.shape == second.shape
        validate.require(same, given, "equal shapes [num, length]", "Pair the sequences up.")
        hot = _one_hot(np.concatenate([first, second]))
        rows = from_arrays(hot[: len(first)], hot[len(first) :], label)
    return dataclasses.replace(rows, positions=first.shape[1:], tokens=True)


def tokens(
    length: int,
    num_sequences: int = 1,
    *,
    shared: float = 0.0,
    repeated: float = 0.0,
    seed: int = 0,
) -> Inputs:
    """Random sequences of `length` tokens, without pairs.

    Args:
        shared: fraction of positions, rounded to whole ones, at which all sequences have the same
            token; other tokens of two sequences differ.
        repeated: fraction of a sequence's positions that repeat one of its tokens; exact to one
            position.
    """
    num_sequences = validate.integer("num_sequences", num_sequences, 1)
    ids = _related(length, [shared] * (num_sequences - 1), repeated, seed)
    return token_ids(ids)


def token_pairs(
    length: int, shared: float | Sequence[float] = 0.5, *, repeated: float = 0.0, seed: int = 0
) -> Inputs:
    """A random sequence of tokens, paired with sequences that share tokens with it.

    `shared`: fractions of positions, rounded to whole ones, with the same token, one per pair: the
    cosine of the two sequences. `repeated`: as for `tokens`.
    """
    shares = np.atleast_1d(validate.array("shared", shared, remedy="Write shared=(0.2, 0.8)."))
    if shares.ndim != 1 or not shares.size:
        given, remedy = f"shared of shape {shares.shape}", "Write shared=(0.2, 0.8)."
        raise SpecError(given, "one fraction per pair, at least one", remedy)
    first, *others = _related(length, shares.tolist(), repeated, seed)
    pairs = token_ids([first] * len(others), others)
    listed = ", ".join(f"{share:g}" for share in shares[:6])
    return dataclasses.replace(
        pairs,
        points=pairs.points[:1],
        bases=(0,) * len(others),
        label=f"sequences of {len(first)} tokens, shared {listed}",
    )


def _related(length: int, shares: list[float], repeated: float, seed: int) -> list[np.ndarray]:
    """Ids of a sequence, and one per share; positions are filled in random order."""
    length = validate.integer("length", length, 1, "Give the number of tokens.")
    shares = [validate.real("shared", share, 0.0, 1.0) for share in shares]
    remedy = "1 would leave no first token."
    repeated = validate.real("repeated", repeated, 0.0, math.nextafter(1.0, 0.0), remedy)
    rng = np.random.default_rng(checked_seed(seed))
    order = rng.permutation(length)
    first = _drawn(rng, length, repeated, 0)
    sequences = [first]
    for number, share in enumerate(shares, start=1):
        kept = round(share * length)
        fresh = _drawn(rng, length - kept, repeated, number * length)
        sequences.append(first[:kept] + fresh)
    return [np.array(sequence)[np.argsort(order)] for sequence in sequences]


def _drawn(rng: Any, count: int, repeated: float, start: int) -> list[int]:
    """Tokens from `start` on; floor(repeated count) of them repeat an earlier one."""
    drawn: list[int] = []
    for place in range(count):
        is_repeat = int(repeated * (place + 1) + 1e-9) > int(repeated * place + 1e-9)
        drawn.append(drawn[rng.integers(place)] if is_repeat and place else start + place)
    return drawn


def _one_hot(ids: np.ndarray) -> np.ndarray:
    """[num, length x distinct tokens]."""
    distinct, index = np.unique(ids, return_inverse=True)
    given = f"{len(ids)} sequences of {ids.shape[1]} tokens, {len(distinct)} of them distinct"
    allowed = f"at most {_LARGEST} one-hot entries"
    validate.require(ids.size * len(distinct) <= _LARGEST, given, allowed, "Take fewer at a time.")
    return np.eye(len(distinct))[index.reshape(ids.shape)].reshape(len(ids), -1)


def _checked_ids(name: str, given: Any) -> np.ndarray:
    array = np.atleast_2d(validate.array(name, given, remedy="Give token numbers."))
    if array.ndim != 2 or not array.size or np.any(array != np.round(array)):
        text = f"{name} of shape {array.shape}, or not whole"
        raise SpecError(text, "integers [num, length], not empty", "Give token numbers.")
    return array


def _by(positions: tuple[int, ...]) -> str:
    return " x ".join(map(str, positions))
