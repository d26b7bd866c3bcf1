"""Source records: which edits change them, however the function is reached."""

import enum
import importlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from source_edits import EDITS

import deepinit as di
from deepinit.core.source_records import source_record

HEAD = """
import dataclasses
import functools
import jax
import jax.numpy as jnp
import numpy as np
"""


@pytest.fixture
def record_of(tmp_path, monkeypatch):
    """record_of(text, other): the record of `f` in the file own_source.py, beside own_part.py."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("own_source", "own_part", "own_package", "own_package.inner")

    def record(text, other="", inner=""):
        for name in names:
            sys.modules.pop(name, None)
        (tmp_path / "own_package").mkdir(exist_ok=True)
        (tmp_path / "own_package" / "__init__.py").write_text("")
        (tmp_path / "own_package" / "inner.py").write_text(inner)
        (tmp_path / "own_part.py").write_text(other)
        (tmp_path / "own_source.py").write_text(HEAD + text)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return source_record(importlib.import_module("own_source").f)

    yield record
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("case", EDITS)
def test_a_changed_function_has_another_record(record_of, case):
    text, old, new = EDITS[case]
    assert old in text
    first = record_of(text)
    assert record_of(text) == first
    assert record_of(text.replace(old, new)) != first


IMPORTS = {
    "from": "from own_part import g\ndef f(x):\n    return g(x)\n",
    "module": "import own_part\ndef f(x):\n    return own_part.g(x)\n",
    "inside": "def f(x):\n    from own_part import g\n    return g(x)\n",
    "module inside": "def f(x):\n    import own_part as part\n    return part.g(x)\n",
}


@pytest.mark.parametrize("case", IMPORTS)
def test_functions_of_own_modules_count(record_of, case):
    texts = [
        f"C = {c}\ndef g(x):\n    return C {sign} x\n" for c, sign in ((1, "*"), (1, "+"), (2, "*"))
    ]
    first, body, constant = (record_of(IMPORTS[case], other) for other in texts)
    assert first != body
    assert first != constant
    assert record_of(IMPORTS[case], "# a remark\n" + texts[0]) == first


@pytest.mark.parametrize(
    "text",
    [
        "import own_package.inner\ndef f(x):\n    return own_package.inner.g(x)\n",
        "import own_package\nimport own_package.inner\n"
        "def f(x):\n    return own_package.inner.g(x)\n",
        "from own_package import inner\ndef f(x):\n    return inner.g(x)\n",
        "def f(x):\n    from own_package import inner\n    return inner.g(x)\n",
        "def f(x):\n    import own_package.inner\n    return own_package.inner.g(x)\n",
    ],
)
def test_functions_of_modules_in_packages_count(record_of, text):
    first, other = (record_of(text, inner=f"def g(x):\n    return x {sign} 1\n") for sign in "+*")
    assert first != other


def test_constants_of_one_name_in_two_files(record_of):
    text = "from own_part import g\nC = {}\ndef h(x):\n    return C + x\n"
    text += "def f(x):\n    return g(h(x))\n"
    records = [
        record_of(text.format(here), f"C = {there}\ndef g(x):\n    return C + x\n")
        for here, there in ((1, 2), (2, 1), (1, 1), (2, 2))
    ]
    assert all(one != other for i, one in enumerate(records) for other in records[:i])


def test_layout_order_and_what_is_not_used_do_not_matter(record_of):
    text = "C = 1\ndef g(x):\n    return C * x\ndef f(x):\n    return g(x)\n"
    moved = 'def f(x):\n    """Twice."""\n    return (g( x ))  # so\n\n\n'
    moved += "def g(x):\n    return C * x\n\nUNUSED = 3\nC = 1\n"
    assert record_of(text) == record_of(moved)
    empty = "def f(x):\n    ''\n    return x\n"
    assert record_of(empty) == record_of("def f(x):\n    return x\n")


class Color(enum.Enum):
    RED = 1


def test_records_do_not_depend_on_the_process():
    code = (
        "import json, re\nfrom deepinit.core.source_records import source_record\n"
        "class Held:\n    pass\n"
        "def one(x):\n    return x in {'a', 'b', 'c', 'd'}\ndef two(x):\n    return -x\n"
        "space = {}\nexec(\"def bare(x):\\n    return x in {'a', 'b', 'c', 'd'}\", space)\n"
        "things = [{one, two}, {one: 1, Held: 2, two: 3}, {'b', 'a', 'c'}, Held(),"
        " [Held(), object()], space['bare'], re.compile('a'), lambda x: (one, two, {str, int})]\n"
        "print(json.dumps([source_record(thing) for thing in things]))\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(texts) == 1
    assert "0x" not in texts.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (jax.random.key(0), jax.random.key(1)),
        (np.array([1, "a"], object), np.array([2, "a"], object)),
        (Color.RED, 1),
        ({1: 2}, {1: 3}),
        (range(3), range(4)),
        (lambda x: x, lambda x: 2 * x),  # both start in one line
        (di.from_function(jnp.sinh, kinks=(0.0,)), di.from_function(jnp.sinh)),
        (np.arange(3.0), np.arange(4.0)),
        ({"a": 1}, {"a": 2}),
        ((1, jnp.sin), (1, jnp.cos)),
        ((jnp.cos, jnp.sin), (jnp.sin, jnp.cos)),
        (({"a": 1}, {"a": 2}), ({"a": 2}, {"a": 1})),
    ],
)
def test_values_tell_apart(one, other):
    assert source_record(one) == source_record(one)
    assert source_record(one) != source_record(other)


def test_records_can_be_made_of_cycles():
    cycle: dict = {"a": 1}
    cycle["self"] = [cycle]
    assert source_record(cycle) == source_record(cycle)
