"""Source records: which edits change them, however the function is reached."""

import enum
import importlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

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


SCALED = """\
def scaled(c):
    def wrap(fn):
        @functools.wraps(fn)
        def inner(x):
            return c * fn(x)
        return inner
    return wrap
"""
HOLDER = "class Holder:\n    gain = 1.0\n    def __init__(self, c):\n        self.c = c\n"
CALLED = HOLDER + "    def __call__(self, x):\n        return self.c * self.turned(x)\n"
METHODS = CALLED + "    def turned(self, x):\n        return self.gain * x\n"
BASED = """\
class Base:
    def turned(self, x):
        return x
class Holder(Base):
    def __call__(self, x):
        return self.turned(x)
f = Holder()
"""
SLOTTED = """\
class Holder:
    __slots__ = ('c',)
    def __call__(self, x):
        return self.c * x
f = Holder()
f.c = 1
"""
DECORATOR = """\
class Scaled:
    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.c = 1
    def __call__(self, x):
        return self.c * self.__wrapped__(x)
@Scaled
def f(x):
    return x
"""
FIELDS = """\
@dataclasses.dataclass(frozen=True)
class Phi:
    c: float = 1.0
    def __call__(self, x):
        return self.c * x
"""
PROPERTY = """\
class Phi:
    @property
    def c(self):
        return 1
    @functools.cached_property
    def d(self):
        return factor()
    def __call__(self, x):
        return self.c * self.d * x
def factor():
    return 1
f = Phi()
"""
LIBRARY = "from fractions import Fraction\nC = Fraction(1, 3)\ndef f(x):\n    return float(C) * x\n"

EDITS = {  # text, what is replaced, by what
    "body": ("def f(x):\n    return x\n", "return x", "return 2 * x"),
    "constant": ("C = 1\ndef f(x):\n    return C * x\n", "C = 1", "C = 2"),
    "array": (
        "C = np.arange(3.0)\ndef f(x):\n    return C * x\n",
        "arange(3.0)",
        "arange(1.0, 4.0)",
    ),
    "called": (
        "def g(x):\n    return x\ndef f(x):\n    return g(x)\n",
        "return x\n",
        "return -x\n",
    ),
    "default": ("def f(x, c=1.0):\n    return c * x\n", "c=1.0", "c=2.0"),
    "keyword default": ("C = 1.0\ndef f(x, *, c=C):\n    return c * x\n", "C = 1.0", "C = 2.0"),
    "lambda": ("f = lambda x: x\n", "x: x", "x: 2 * x"),
    "closure": ("def made(c):\n    return lambda x: c * x\nf = made(1)\n", "made(1)", "made(2)"),
    "partial": (
        "def g(c, x):\n    return c * x\nf = functools.partial(g, 1)\n",
        "(g, 1)",
        "(g, 2)",
    ),
    "partial of": (
        "def g(c, x):\n    return c * x\nf = functools.partial(g, 1)\n",
        "c * x",
        "c + x",
    ),
    "decorator": (SCALED + "@scaled(1)\ndef f(x):\n    return x\n", "scaled(1)", "scaled(2)"),
    "decorated": (SCALED + "@scaled(1)\ndef f(x):\n    return x\n", "return x\n", "return -x\n"),
    "decorator's body": (
        SCALED + "@scaled(1)\ndef f(x):\n    return x\n",
        "c * fn(x)",
        "c + fn(x)",
    ),
    "decorator class": (DECORATOR, "self.c = 1", "self.c = 2"),
    "decorator class's body": (DECORATOR, "self.c * self", "self.c + self"),
    "jit": ("def g(x):\n    return x\nf = jax.jit(g)\n", "return x", "return -x"),
    "vmap": ("def g(x):\n    return x\nf = jax.vmap(g)\n", "return x", "return -x"),
    "cache": (
        "@functools.lru_cache\ndef g():\n    return 1\ndef f(x):\n    return g() * x\n",
        "return 1",
        "return 2",
    ),
    "custom_jvp": (
        "@jax.custom_jvp\ndef f(x):\n    return x\n"
        "@f.defjvp\ndef rule(p, t):\n    return p[0], t[0]\n",
        "p[0], t[0]",
        "p[0], 2 * t[0]",
    ),
    "callable object": (METHODS + "f = Holder(1)\n", "Holder(1)", "Holder(2)"),
    "method": (METHODS + "f = Holder(1)\n", "self.gain * x", "self.gain + x"),
    "class attribute": (METHODS + "f = Holder(1)\n", "gain = 1.0", "gain = 2.0"),
    "computed class attribute": (
        "C = 1\n" + METHODS.replace("gain = 1.0", "gain = C") + "f = Holder(1)\n",
        "C = 1",
        "C = 2",
    ),
    "bound method": (METHODS + "f = Holder(1).turned\n", "gain = 1.0", "gain = 2.0"),
    "object of a bound method": (METHODS + "f = Holder(1).turned\n", "Holder(1)", "Holder(2)"),
    "base class": (BASED, "return x\n", "return -x\n"),
    "slots": (SLOTTED, "f.c = 1", "f.c = 2"),
    "dataclass": (FIELDS + "f = Phi()\n", "float = 1.0", "float = 2.0"),
    "field": (FIELDS + "f = Phi(1.0)\n", "Phi(1.0)", "Phi(2.0)"),
    "property": (PROPERTY, "return 1\n    @", "return 2\n    @"),
    "cached property": (PROPERTY, "return 1\nf", "return 2\nf"),
    "static method": (
        "C = 1\nclass A:\n    @staticmethod\n    def g(x):\n        return C * x\n"
        "def f(x):\n    return A.g(x)\n",
        "C = 1",
        "C = 2",
    ),
    "tuple": (
        "def g(x):\n    return x\ndef h(x):\n    return -x\nTABLE = (g, h)\n"
        "def f(x):\n    return TABLE[0](x)\n",
        "(g, h)",
        "(h, g)",
    ),
    "dict": ("TABLE = {'a': 1}\ndef f(x):\n    return TABLE['a'] * x\n", "'a': 1", "'a': 2"),
    "large dict": (
        "T = {i: 1.0 for i in range(200)}\ndef f(x):\n    return T[3] * x\n",
        "1.0",
        "2.0",
    ),
    "set": ("T = {1, 2}\ndef f(x):\n    return x * (1 in T)\n", "{1, 2}", "{2, 3}"),
    "function in a dict": (
        "def g(x):\n    return x\nTABLE = {'a': g}\ndef f(x):\n    return TABLE['a'](x)\n",
        "return x",
        "return -x",
    ),
    "namespace": (
        "import types\nP = types.SimpleNamespace(c=1)\ndef f(x):\n    return P.c * x\n",
        "c=1",
        "c=2",
    ),
    "object of a library": (LIBRARY, "(1, 3)", "(2, 3)"),
    "vectorize": ("def g(x):\n    return x\nf = np.vectorize(g)\n", "return x", "return -x"),
    "method of a list": ("T = [1, 2]\nf = T.index\n", "[1, 2]", "[2, 1]"),
    "enum": (
        "import enum\nclass Kind(enum.Enum):\n    A = 1\ndef f(x):\n    return Kind.A.value * x\n",
        "A = 1",
        "A = 2",
    ),
    "nested function": (
        "C = 1\ndef f(x):\n    def g(x):\n        return C * x\n    return g(x)\n",
        "C = 1",
        "C = 2",
    ),
    "attribute of a function": ("def f(x):\n    return f.c * x\nf.c = 1\n", "f.c = 1", "f.c = 2"),
    "third of three closures": (
        "def made(c):\n    return lambda x: c * x\nf = (made(1), made(2), made(1))\n",
        "made(1))",
        "made(2))",
    ),
    "third of three lambdas": (
        "a, b = lambda x: x, lambda x: -x\nf = (a, b, a)\n",
        "(a, b, a)",
        "(a, b, b)",
    ),
}


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
    ],
)
def test_values_tell_apart(one, other):
    assert source_record(one) == source_record(one)
    assert source_record(one) != source_record(other)


def test_records_can_be_made_of_cycles():
    cycle: dict = {"a": 1}
    cycle["self"] = [cycle]
    assert source_record(cycle) == source_record(cycle)
