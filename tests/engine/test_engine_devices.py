"""Eight simulated devices, and two processes joined into one program, measure the same networks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepinit import store

TINY = str(Path(__file__).parent / "tiny_experiment.py")

EIGHT_DEVICES = """
import jax, numpy as np
import deepinit as di
from deepinit.ensembles import blocks, keys
from deepinit.quantities.routes import seed_fn_of
from deepinit.ensembles.blocks import compile_ensemble, local_mesh

root = keys.root_key(3)
def mesh_of(*numbers):
    devices = [jax.devices()[number] for number in numbers]
    return jax.make_mesh((len(devices),), ("seeds",), devices=devices, axis_types=(jax.sharding.AxisType.Auto,))

one, two, three, seven = mesh_of(0), mesh_of(3, 5), mesh_of(0, 1, 2), mesh_of(*range(7))
assert jax.device_count() == local_mesh().size == 8

def draws(key):
    return jax.random.bits(key, (3,), "uint32")

def chain(key):
    # Sums and a matrix product: what may round differently where batches differ.
    x = jax.random.normal(key, (32,))
    w = jax.random.normal(jax.random.fold_in(key, 1), (32, 32))
    return jax.numpy.tanh(w @ x).sum()

def measured(seed_fn, mesh, size):
    ensemble = compile_ensemble(seed_fn, 45, block_size=size, mesh=mesh)
    return np.concatenate([ensemble.block_fn(root, block) for block in range(ensemble.blocks.num_blocks)])

looped = np.stack([draws(jax.random.fold_in(root, seed)) for seed in range(45)])
for mesh, size in ((None, None), (None, 16), (None, 3), (one, 45), (one, 7), (seven, 45)):
    np.testing.assert_array_equal(measured(draws, mesh, size), looped)
np.testing.assert_allclose(measured(chain, None, 24), measured(chain, one, 45), rtol=1e-5, atol=1e-5)

cut = blocks.Blocks(64, 32, 2)
out = blocks._compile(draws, cut, local_mesh())(*jax.device_put(
    (np.asarray(jax.random.key_data(root)), np.uint32(0)), jax.sharding.NamedSharding(local_mesh(), jax.P())))
assert {shard.data.shape for shard in out.addressable_shards} == {(4, 3)}
assert sorted(shard.index[0].start or 0 for shard in out.addressable_shards) == list(range(0, 32, 4))
assert len({shard.device for shard in out.addressable_shards}) == 8

# Several devices give the same bits whatever their number, also where it divides neither networks nor batches; so does
# a run that is continued with the batches of another number.
angle, _ = seed_fn_of(di.MLP(widths=(17,) * 3), di.quantities.log_sin2_angle, di.inputs.pair(angle=0.5),
                      linear_map="conditional", dtype="float32", precision="highest")
def bits(mesh, **cut):
    ensemble = compile_ensemble(angle, 45, mesh=mesh, **cut)
    parts = [ensemble.block_fn(root, block) for block in range(ensemble.blocks.num_blocks)]
    return ensemble.blocks, np.concatenate([part.value for part in parts]).tobytes()
eight = bits(None, block_size=20)
assert bits(three, block_size=20) == eight
assert eight[0] == blocks.Blocks(45, 20, 3)
old = bits(two)
assert bits(three, blocks=old[0]) == old
print("equal")
"""


def test_eight_devices_share_the_networks_of_one():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run(
        [sys.executable, "-c", EIGHT_DEVICES], capture_output=True, text=True, timeout=200, env=environment
    )
    assert done.stdout == "equal\n", done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def joined(*arguments, processes=2):
    """Exit codes and messages of that many joined processes, each with one simulated device."""
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "deepinit", "run", TINY, "--distributed", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(number),
            },
        )
        for number in range(processes)
    ]
    try:
        said = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], [out + err for out, err in said]


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(tmp_path):
    from deepinit.cli import main

    together, alone = tmp_path / "together", tmp_path / "alone"
    codes, said = joined("--block-size", 100, "--out", together)
    assert codes == [0, 0], said
    assert "second_order" in said[0]
    assert "second_order" not in said[1]
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--block-size", "100", "--out", str(alone)])
    assert end.value.code == 0
    here, there = store.read_result(together), store.read_result(alone)
    assert store.finished_blocks(store.load_run(together)) == store.finished_blocks(store.load_run(alone))
    np.testing.assert_allclose(here["mean"].values, there["mean"].values, rtol=1e-5)
    np.testing.assert_allclose(here["samples"].values, there["samples"].values, rtol=1e-4, atol=1e-5)
    # A refusal, or a run that goes on or is finished, ends all processes: none waits for the first.
    codes, said = joined("--block-size", 100, "--out", together, "--config.num-seeds", 401)
    assert codes == [3, 3], said
    assert "which holds another run" in said[0]
    assert "The first process was refused" in said[1]
    (together / "result.nc").unlink()
    (together / "blocks" / "tiny" / "000000200-000000299.npz").unlink()
    codes, said = joined("--block-size", 100, "--out", together)
    assert codes == [0, 0], said
    np.testing.assert_array_equal(store.read_result(together)["samples"].values, here["samples"].values)
    codes, said = joined("--block-size", 100, "--out", together)
    assert codes == [0, 0], said
