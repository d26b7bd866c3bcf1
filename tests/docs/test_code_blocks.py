"""Python blocks of the documents: those that the site's build does not execute run here.

Blocks of a page run in order, in one namespace and an empty folder. SETUP defines what a page
leaves to the reader: a model, inputs.
"""

import re
import sys

import pytest
from paths import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MADE = ("reference", "gallery", "_build")  # by the extensions of the site
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(
    r"^```{code-cell} python3\n(?::tags:[^\n]*\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)
MODEL = """
import jax, jax.numpy as jnp, numpy as np, optax
from flax import linen as nn
import deepinit as di

class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(self.width, name="query")(x))

class MyModule(nn.Module):
    width: int = 32

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(Block(self.width)(Block(self.width)(x)))
"""
SETUP = {
    "own_networks.md": MODEL
    + "model = module = MyModule()\n"
    + "key, x = jax.random.key(0), jnp.ones((2, 16))\n"
    + "inputs = di.inputs.pair(0.3, dimension=16)\n",
    "scaling_check.md": MODEL + "inputs = di.inputs.points(np.eye(4, 8))\n",
    "diagnosis.md": MODEL
    + "inputs = di.inputs.points(np.random.default_rng(0).standard_normal((16, 32)))\n"
    + "labels = np.arange(16) % 2\n",
    "README.md": MODEL
    + "f = lambda key, x: x @ jax.random.normal(key, (64, 64))\n"
    + "key, x = jax.random.key(0), jnp.ones((2, 64))\n",
}


def blocks(page, pattern=BLOCK):
    """Python blocks of a page; cells of myst-nb have braces."""
    return [match[1] for match in pattern.finditer(page.read_text())]


def pages(pattern=BLOCK):
    """Pages with blocks, without those that the build writes."""
    written = [page for page in DOCUMENTS if not set(MADE) & set(page.parts)]
    return [page for page in written if blocks(page, pattern)]


def run(page, pattern, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    names: dict = {"__name__": "page"}
    for number, block in enumerate(blocks(page, pattern), 1):
        exec(SETUP.get(page.name, ""), names)  # names that an earlier block has changed
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


def test_every_page_with_blocks_is_found():
    names = {page.name for page in pages()}
    assert names >= set(SETUP)
    assert {"index.md", "sweeps.md", "from_pytorch.md"} <= names
    assert len(pages(CELL)) >= 15


def test_every_cell_is_found():
    texts = [page.read_text() for page in pages(CELL)]
    found = sum(len(blocks(page, CELL)) for page in pages(CELL))
    assert found == sum(text.count("```{code-cell}") for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_blocks_run(page, tmp_path, monkeypatch):
    run(page, BLOCK, tmp_path, monkeypatch)


@pytest.mark.exhaustive  # the site's build runs them too
@pytest.mark.parametrize("page", pages(CELL), ids=lambda page: page.stem)
def test_cells_run(page, tmp_path, monkeypatch):
    run(page, CELL, tmp_path, monkeypatch)
