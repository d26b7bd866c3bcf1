"""Inputs of a diagnosis: one's own, checked, or usual ones."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import DeepinitError, SpecError
from deepinit.core.inputs import ArrayInputs, Inputs, arranged, points, token_ids, tokens
from deepinit.core.layers import Conv, Dense, Embed, Layer
from deepinit.core.layers.containers import leaves
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.specs import NetworkSpec

ROWS, LABELLED = 16, 64
_LENGTH, _SEQUENCES = 8, 4  # tokens; gradients and angles take their square
_SIDE, _CHANNELS, _IMAGES = 64, 3, 4  # ResNet-18 leaves 2 x 2 positions
IMAGE_DATA = {784: "MNIST", 196: "MNIST, 14 x 14", 64: "digits"}


class Rows(NamedTuple):
    """Inputs, and a name for them; `own`: whether the user's."""

    inputs: Inputs
    name: str
    own: bool


def own_rows(network: Any, inputs: Any, most: int = ROWS) -> Rows:
    """The user's inputs for a spec or network, of a spec the first `most`.

    Raises SpecError: inputs that are not numbers, not finite, all equal, or of another shape.
    """
    if isinstance(inputs, Rows):
        return inputs
    if isinstance(inputs, Inputs):
        return Rows(inputs, f"{inputs.label or 'inputs'}", True)
    array = np.asarray(inputs)
    if array.dtype.kind not in "fiub" or array.ndim < 2 or not array.size:
        given = f"inputs of shape {array.shape} and type {array.dtype}"
        raise SpecError(given, "numbers [rows, ...]", "Give a row for each input.")
    if not np.all(np.isfinite(array)):
        raise SpecError("inputs with NaN or infinite entries", "finite numbers", "Clean them.")
    if np.all(array == array[:1]):
        raise SpecError(
            "constant inputs: all rows are equal", "different rows", "Give real inputs."
        )
    flat = array[:most].reshape(len(array[:most]), -1)
    if array.dtype.kind == "f" and not np.all(np.any(flat, axis=1)):
        given = f"inputs whose row {int(np.argmin(np.any(flat, axis=1))) + 1} is 0"
        raise SpecError(given, "rows with an angle to others", "Leave blank rows out.")
    name = f"{len(array)} rows of yours, shape {' x '.join(map(str, array.shape[1:]))}"
    if not isinstance(network, NetworkSpec):
        from deepinit.core.inputs import arrays

        own = array.astype(np.float32) if array.dtype == np.float64 else array
        return Rows(arrays(own), name, True)
    if _first(network) is Embed:
        return Rows(token_ids(array[:most]), name, True)
    rows = array[:most].astype(float)
    return Rows(arranged(rows) if rows.ndim > 2 else points(rows), name, True)


def labelled(network: Any, inputs: Any, labels: Any) -> tuple[Rows, np.ndarray]:
    """Rows with labels: 64, as many as the study's first step and its judgement take.

    Raises SpecError: fewer; labels that are not classes.
    """
    if inputs is None:
        raise SpecError("labels without inputs", "both", "Give inputs (--inputs FILE.npy).")
    classes = np.asarray(labels)
    if classes.dtype.kind not in "iu" or not classes.ndim:
        given = f"labels of shape {classes.shape} and type {classes.dtype}"
        raise SpecError(given, "classes, integers from 0", "Give one for each row.")
    rows = own_rows(network, inputs, LABELLED)
    count = rows.inputs.num_rows
    if count < LABELLED or len(classes) < LABELLED:
        given = f"{len(classes)} labels for {count} rows"
        raise SpecError(given, f"{LABELLED} of both or more", "Leave labels out, or give more.")
    return rows._replace(inputs=_first_points(rows.inputs, LABELLED)), classes[:LABELLED]


def _first_points(inputs: Inputs, most: int) -> Inputs:
    """The first points of inputs without pairs, in their own shape."""
    if inputs.num_rows == most:
        return inputs
    if inputs.num_pairs:
        raise SpecError("labels for inputs with pairs", "points", "Write di.inputs.points(rows).")
    points = inputs.points[:most]
    if isinstance(inputs, ArrayInputs):
        own = tuple(array[:most] for array in inputs.arrays)
        return dataclasses.replace(inputs, points=points, arrays=own)
    return dataclasses.replace(inputs, points=points)


def usual_rows(network: Any, dimension: int | None = None) -> Rows:
    """Tokens, images, MNIST or digits of its size (with their packages), or Gaussian rows.

    Args:
        dimension: of one input of a dense network; None for 784.

    Raises SpecError: a network of one's own, whose inputs only its author knows.
    """
    if not isinstance(network, NetworkSpec):
        given = "a network of one's own without inputs"
        raise SpecError(given, "an array [rows, ...]", "Give inputs (--inputs FILE.npy).")
    first = _first(network)
    generator = np.random.default_rng(0)
    if first is Embed:
        name = f"{_SEQUENCES} random sequences of {_LENGTH} tokens"
        return Rows(tokens(_LENGTH, _SEQUENCES), name, False)
    if first is Conv:
        images = generator.normal(size=(_IMAGES, _SIDE, _SIDE, _CHANNELS))
        name = f"{_IMAGES} Gaussian images, {_SIDE} x {_SIDE} x {_CHANNELS}"
        return Rows(arranged(images), name, False)
    if isinstance(network, ConvResNet):
        raise SpecError("ConvResNet without inputs", "images [rows, ...]", "Give inputs.")
    own = network.width if isinstance(network, ResNet) and not network.embedding_law else 784
    size = own if dimension is None else dimension
    found = _images(size)
    if found is not None:
        return Rows(points(found), f"{ROWS} images of {IMAGE_DATA[size]}", False)
    name = f"{ROWS} Gaussian rows of dimension {size}"
    return Rows(points(generator.normal(size=(ROWS, size))), name, False)


def _images(size: int) -> np.ndarray | None:
    """Images of mean 0 and mean square 1, as the study's; None without their package."""
    from deepinit.core.inputs.rows import images
    from deepinit.diagnosis.study.data import data

    if size not in IMAGE_DATA:
        return None
    try:
        if size != 784:
            return data("mnist" if size == 196 else "digits").inputs[:ROWS].astype(float)
        pixels, labels = images()
        order = np.random.default_rng(0).permutation(len(labels))[:ROWS]
        pixels = pixels.reshape(len(pixels), -1)
        return (pixels[order] - pixels.mean()) / pixels.std()
    except DeepinitError:
        return None


def _first(network: NetworkSpec) -> type:
    """Kind of the first random layer of a network of layers; else of the spec."""
    if not isinstance(network, Layer):
        return type(network)
    kinds = (type(leaf) for leaf in leaves(network))
    return next((kind for kind in kinds if kind in (Embed, Conv, Dense)), Dense)
