"""A process that is forked after JAX was used: a sentence, never a hang."""

import os
import subprocess
import sys

import pytest

PARENT = """
import os, signal
import jax, jax.numpy as jnp
import deepinit as di
from deepinit.core.errors import ResourceError

Q = di.quantities
spec, inputs = di.MLP((3,), "tanh", di.normal(1.0), output_width=1), di.inputs.ones(2)
net, training = di.network(spec), di.TrainingConfig(di.targets.two_sines(8), (0, 1), "gd", 0.1)
key = {key}
USES = {{
    "simulate": lambda: di.simulate(spec, Q.log_norm, inputs, num_seeds=2),
    "train": lambda: di.simulate(spec, Q.training_loss, training, num_seeds=2),
    "predict": lambda: di.predict(di.MLP((3,)), Q.log_norm, inputs),
    "infinite": lambda: di.infinite(spec, Q.ntk, di.inputs.pair(0.5)),
    "examine": lambda: di.from_function(lambda x: x + 1),
    "draw": lambda: net.init(key, 2),
    "sample": lambda: di.normal(1.0).sample(key, (2, 2)),
    "angle": lambda: di.curves.circle().points(key),
}}


def child(use):
    signal.alarm(40)
    try:
        use()
        return 1
    except ResourceError as error:
        return 0 if "Start children by spawn" in str(error) else 2


for name in {names}:
    process = os.fork()
    if process == 0:
        code = 3
        try:
            code = child(USES[name])
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), end=" ")
"""
OTHERS = ("simulate", "train", "predict", "infinite", "examine", "draw", "sample")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    ("key", "names", "codes"),
    [
        ("jax.random.key(0)", OTHERS, [0] * len(OTHERS)),
        ("jnp.ones(2)", ("angle",), [0]),
        ("None", ("simulate",), [1]),  # the child is the first to use JAX: it computes
    ],
    ids=["a key", "an array", "unused"],
)
@pytest.mark.slow_cases("a key", "unused")
def test_r20_forked_children(key, names, codes):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PARENT.format(key=key, names=names)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(map(int, done.stdout.split())) == codes, done.stderr
