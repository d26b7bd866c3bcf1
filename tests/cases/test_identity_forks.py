"""A process that is forked after JAX was used: a sentence, never a hang."""

import os
import subprocess
import sys

import pytest

CHILD = """
import os, signal
import deepinit as di
from deepinit.core.errors import ResourceError

spec, inputs = di.MLP((3,), "tanh", di.normal(1.0)), di.inputs.ones(2)


def use():
    {use}


def refused():
    signal.alarm(30)
    try:
        use()
    except ResourceError as error:
        return 0 if "Start children by spawn" in str(error) else 2
    return 1


{first}
child = os.fork()
if child == 0:
    code = 3
    try:
        code = refused()
    finally:
        os._exit(code)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
SIMULATE = "di.simulate(spec, di.quantities.log_norm, inputs, num_seeds=2)"
EXAMINE = "di.from_function(lambda x: x + 1)"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    ("first", "use", "code"),
    [
        ("use()", SIMULATE, 0),
        ("use()", EXAMINE, 0),
        ("", SIMULATE, 1),  # the child is the first to use JAX: it computes
    ],
    ids=["simulate", "examine", "unused"],
)
def test_r20_a_forked_child(first, use, code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD.format(first=first, use=use)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == code, done.stderr
