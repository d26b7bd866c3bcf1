"""Edits of a file that change what its function f does."""

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
