"""Inputs of a network: points, pairs, images, sequences of tokens."""

from deepinit.core.inputs.arrays import ArrayInputs, arrays
from deepinit.core.inputs.rows import (
    Inputs,
    as_inputs,
    checked_seed,
    circle,
    from_arrays,
    image_pairs,
    images,
    line,
    ones,
    pair,
    pairs,
    points,
    sphere_pairs,
)
from deepinit.core.inputs.sequences import arranged, token_ids, token_pairs, tokens

__all__ = [
    "ArrayInputs",
    "Inputs",
    "arranged",
    "arrays",
    "as_inputs",
    "checked_seed",
    "circle",
    "from_arrays",
    "image_pairs",
    "images",
    "line",
    "ones",
    "pair",
    "pairs",
    "points",
    "sphere_pairs",
    "token_ids",
    "token_pairs",
    "tokens",
]
