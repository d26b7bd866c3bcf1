"""Import time of deepinit over that of `import jax, flax, optax`.

    python benchmarks/import_time.py [--quick] [--out FILE] [--repeats 5]

Fresh processes in turns, the least wall time of each less the interpreter's start. Goal: at most
1.3, for `import deepinit` and for `di.simulate` with what it loads. Checked before: the names are
there, and `import deepinit` alone does not load JAX.
"""

import subprocess
import sys

import harness

GOAL = 1.3
STATEMENTS = {
    "python": "pass",
    "import jax, flax, optax": "import jax, flax, optax",
    "import deepinit": "import deepinit",
    "deepinit.simulate": "import deepinit; deepinit.simulate; "
    "import deepinit.networks.forward, deepinit.ensembles.blocks",
}
CHECK = (
    "import sys, deepinit; lazy = 'jax' not in sys.modules; deepinit.simulate; "
    "sys.exit(0 if lazy else 1)"
)


def run(statement: str) -> int:
    """A fresh interpreter."""
    return subprocess.run([sys.executable, "-c", statement], check=False).returncode


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, repeats=(1, 5), devices="")
    for name, statement in {**STATEMENTS, "import deepinit leaves JAX alone": CHECK}.items():
        harness.check(name, run(statement), 0)
    runs = {
        name: (lambda statement=statement: run(statement)) for name, statement in STATEMENTS.items()
    }
    seconds = harness.least_seconds(runs, options.repeats)
    own = {name: value - seconds["python"] for name, value in seconds.items() if name != "python"}
    for name, value in own.items():
        report.add(name, value, "s")
    for name in ("import deepinit", "deepinit.simulate"):
        ratio = own[name] / own["import jax, flax, optax"]
        report.add(f"{name} / import jax, flax, optax", ratio, "x", ("<=", GOAL))


if __name__ == "__main__":
    main()
