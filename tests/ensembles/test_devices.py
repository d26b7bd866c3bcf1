"""Eight simulated devices: the networks of one device, bit-identical for two and more."""

import os
import subprocess
import sys

import pytest

EIGHT_DEVICES = """
import jax, numpy as np
import deepinit as di
from deepinit.ensembles import blocks, keys
from deepinit.quantities.programs import seed_fn_of
from deepinit.ensembles.blocks import compile_ensemble, local_mesh

root = keys.root_key(3)
def mesh_of(*numbers):
    devices = [jax.devices()[number] for number in numbers]
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(devices),), ("seeds",), devices=devices, axis_types=auto)

one, two, three, seven = mesh_of(0), mesh_of(3, 5), mesh_of(0, 1, 2), mesh_of(*range(7))
assert jax.device_count() == local_mesh().size == 8

def draws(key):
    return jax.random.bits(key, (3,), "uint32")

def chain(key):
    # sums and a matrix product, whose rounding may depend on the batch
    x = jax.random.normal(key, (32,))
    w = jax.random.normal(jax.random.fold_in(key, 1), (32, 32))
    return jax.numpy.tanh(w @ x).sum()

def measured(seed_fn, mesh, size):
    ensemble = compile_ensemble(seed_fn, 45, block_size=size, mesh=mesh)
    numbers = range(ensemble.blocks.num_blocks)
    return np.concatenate([ensemble.block_fn(root, block) for block in numbers])

looped = np.stack([draws(jax.random.fold_in(root, seed)) for seed in range(45)])
for mesh, size in ((None, None), (None, 16), (None, 3), (one, 45), (one, 7), (seven, 45)):
    np.testing.assert_array_equal(measured(draws, mesh, size), looped)
whole, cut = measured(chain, one, 45), measured(chain, None, 24)
np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-5)

cut = blocks.Blocks(64, 32, 2)
everywhere = jax.sharding.NamedSharding(local_mesh(), jax.P())
form = blocks.chosen_form(draws)
compiled = blocks._compile(form, cut, local_mesh())
arguments = form.arguments(compiled.recorded)
host = np.asarray(jax.random.key_data(root)), np.uint32(0), *arguments
out = compiled.executable(*jax.device_put(host, everywhere))
assert {shard.data.shape for shard in out.addressable_shards} == {(4, 3)}
starts = [shard.index[0].start or 0 for shard in out.addressable_shards]
assert sorted(starts) == list(range(0, 32, 4))
assert len({shard.device for shard in out.addressable_shards}) == 8

# Two and more devices give the same bits, also if their number divides neither networks nor
# batches, and if a run continues with the batches of another number.
spec, inputs = di.MLP(widths=(17,) * 3), di.inputs.pair(angle=0.5)
settings = {"linear_map": "conditional", "dtype": "float32", "precision": "highest"}
angle, _ = seed_fn_of(spec, di.quantities.log_sin2_angle, inputs, **settings)
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


@pytest.mark.exhaustive
def test_eight_devices_share_the_networks_of_one():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run(
        [sys.executable, "-c", EIGHT_DEVICES],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
    )
    assert done.stdout == "equal\n", done.stderr
