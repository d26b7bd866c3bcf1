"""Blocks: same networks and values for any partition, in one compilation and bounded memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import ResourceError, SpecError
from deepinit.ensembles import blocks
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.cuts import MEMORY_BUDGET, Blocks
from deepinit.ensembles.keys import root_key
from deepinit.quantities.programs import seed_fn_of
from deepinit.quantities.routes import simulate

ROOT = root_key(3)
SPEC = di.MLP(widths=(3,) * 4)  # narrow: dead and collinear networks occur
PAIR = di.inputs.pair(angle=0.5)


def draws(key):
    """Integers, so that equality is exact."""
    return jax.random.bits(key, (3,), "uint32")


def normals(shape):
    return lambda key: jax.random.normal(key, shape)


def angle_seed_fn():
    quantity = di.quantities.log_sin2_angle
    return seed_fn_of(
        SPEC, quantity, PAIR, linear_map="conditional", dtype="float32", precision="highest"
    )[0]


def all_blocks(ensemble, root=ROOT):
    parts = [ensemble.block_fn(root, block) for block in range(ensemble.blocks.num_blocks)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


@pytest.mark.slow
def test_a_seed_draws_the_same_network_in_every_ensemble_and_block():
    looped = np.stack([draws(jax.random.fold_in(ROOT, seed)) for seed in range(40)])
    assert len(np.unique(looped)) == looped.size
    for num_seeds, block_size in ((40, None), (40, 7), (23, 8), (1, 100)):
        drawn = all_blocks(compile_ensemble(draws, num_seeds, block_size=block_size))
        np.testing.assert_array_equal(drawn, looped[:num_seeds])


@pytest.mark.exhaustive
def test_in_blocks_at_once_and_looped_give_one_measurement():
    seed_fn = angle_seed_fn()
    one_at_a_time = jax.jit(seed_fn)
    looped = [one_at_a_time(jax.random.fold_in(ROOT, seed)) for seed in range(50)]
    events = np.stack([one.event for one in looped])
    values = np.where(events == 0, np.stack([one.value for one in looped]), 0.0)
    assert 0 < np.count_nonzero(events) < events.size
    for block_size in (50, 12):
        measured = all_blocks(compile_ensemble(seed_fn, 50, block_size=block_size))
        np.testing.assert_array_equal(measured.event, events)
        # float32, sums in another order, through four layers
        np.testing.assert_allclose(
            np.where(events == 0, measured.value, 0.0), values, rtol=1e-5, atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_an_estimate_does_not_depend_on_the_block_size():
    whole, cut = (
        simulate(
            SPEC,
            di.quantities.log_sin2_angle,
            PAIR,
            num_seeds=100,
            key=1,
            block_size=size,
            keep_samples=True,
        )
        for size in (100, 32)
    )
    other = simulate(SPEC, di.quantities.log_sin2_angle, PAIR, num_seeds=100, key=2, block_size=32)
    np.testing.assert_allclose(cut.mean, whole.mean, rtol=1e-5)
    np.testing.assert_allclose(cut.samples, whole.samples, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(cut.num_excluded, whole.num_excluded)
    assert np.all(np.abs(other.mean - whole.mean) > 1e-3)


def test_the_last_block_is_cut_off_where_the_seeds_end():
    ensemble = compile_ensemble(draws, 22, block_size=8)
    assert [ensemble.blocks.seeds(block) for block in range(3)] == [(0, 8), (8, 16), (16, 22)]
    assert [len(ensemble.block_fn(ROOT, block)) for block in range(3)] == [8, 8, 6]


def test_all_blocks_share_one_compilation():
    traces = []

    def seed_fn(key):
        traces.append(key)
        return normals((3,))(key)

    ensemble = compile_ensemble(seed_fn, 100, block_size=10)
    compiled = len(traces)
    all_blocks(ensemble)
    all_blocks(ensemble, root_key(9))
    assert compiled <= 2  # once, and once more for a remainder of the batches
    assert len(traces) == compiled


def test_a_continued_run_keeps_its_blocks():
    first = compile_ensemble(draws, 30, block_size=7).blocks
    again = compile_ensemble(draws, 30, blocks=first)
    assert again.blocks == first == Blocks(30, 7, 1)
    np.testing.assert_array_equal(all_blocks(again)[7:14], again.block_fn(ROOT, 1))


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_number_of_networks():
    sizes = [
        compile_ensemble(normals((64, 64)), num_seeds).blocks.block_size
        for num_seeds in (10**3, 10**6, 10**9)
    ]
    assert sizes[0] < sizes[1] == pytest.approx(sizes[2], rel=0.5)
    assert max(sizes) * 64 * 64 * 4 < MEMORY_BUDGET


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_small_budget_makes_smaller_batches_of_the_same_networks():
    fn = normals((100,))
    wide, narrow = (
        compile_ensemble(fn, 512, block_size=512),
        compile_ensemble(fn, 512, block_size=512, memory_budget=10**5),
    )
    assert narrow.blocks.block_size < wide.blocks.block_size == 512
    assert narrow.blocks.batch_size < wide.blocks.batch_size
    assert narrow.blocks.block_size * 400 < 10**5
    np.testing.assert_allclose(all_blocks(narrow), all_blocks(wide), rtol=1e-6)


@pytest.mark.slow
def test_a_network_beyond_the_budget_is_refused():
    with pytest.raises(
        ResourceError, match=r"a network that needs .* MiB.*Allowed: 1 MiB.*memory budget"
    ):
        compile_ensemble(normals((1024, 1024)), 10, memory_budget=2**20)


class Crowded:
    """A device with room for a number of networks at a time: what runs out of memory beyond it."""

    def __init__(self, monkeypatch, room):
        self.tried = []

        def compile_(form, cut, mesh, compile_=blocks._compile):
            self.tried.append(cut.batch_size)

            def exhausted(*arguments):
                raise jax.errors.JaxRuntimeError(
                    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."
                )

            compiled = compile_(form, cut, mesh)
            fits = cut.batch_size <= room
            return compiled if fits else compiled._replace(executable=exhausted)

        monkeypatch.setattr(blocks, "_compile", compile_)


@pytest.mark.slow
def test_a_block_out_of_memory_is_computed_in_half_batches_and_says_so(monkeypatch):
    cut = Blocks(64, 64, 32)
    whole = all_blocks(compile_ensemble(draws, 64, blocks=cut))
    device, told = Crowded(monkeypatch, 8), []
    record = lambda *batches: told.append(batches)
    ensemble = compile_ensemble(draws, 64, blocks=cut, on_smaller_batches=record)
    np.testing.assert_array_equal(all_blocks(ensemble), whole)
    np.testing.assert_array_equal(ensemble.block_fn(ROOT, 0), whole)
    assert device.tried == [32, 16, 8]  # found once, and kept
    assert told == [(32, 16), (16, 8)]
    assert ensemble.blocks == cut
    with pytest.warns(
        RuntimeWarning, match="Out of memory with 32 networks at a time .* continuing with 16"
    ):
        compile_ensemble(draws, 64, blocks=cut).block_fn(ROOT, 0)


def test_a_device_without_room_for_one_network_is_told_in_one_paragraph(monkeypatch):
    device = Crowded(monkeypatch, 0)
    silent = lambda *batches: None
    ensemble = compile_ensemble(draws, 8, blocks=Blocks(8, 8, 3), on_smaller_batches=silent)
    with pytest.raises(
        ResourceError, match=r"blocks of 8 networks, 1 at a time .*Finished blocks are saved"
    ) as error:
        ensemble.block_fn(ROOT, 0)
    assert error.value.exit_code == 5
    assert device.tried == [3, 2, 1]


@pytest.mark.slow
def test_huge_blocks_are_the_whole_ensemble_or_what_memory_has_room_for():
    assert compile_ensemble(draws, 22, block_size=10**30).blocks.block_size == 22
    assert (
        compile_ensemble(
            normals((100,)), 512, block_size=10**30, memory_budget=10**5
        ).blocks.block_size
        < 30
    )


@pytest.mark.parametrize("block_size", [0, -3])
def test_a_block_without_networks_is_refused(block_size):
    with pytest.raises(SpecError, match=f"block_size={block_size}. Allowed: integers >= 1"):
        compile_ensemble(draws, 8, block_size=block_size)


def test_values_that_are_not_finite_stay_in_their_seed():
    poisoned = all_blocks(
        compile_ensemble(
            lambda key: jnp.where(draws(key)[0] % 4 == 0, jnp.nan, 1.0), 40, block_size=16
        )
    )
    looped = np.stack([draws(jax.random.fold_in(ROOT, seed))[0] for seed in range(40)])
    np.testing.assert_array_equal(np.isnan(poisoned), looped % 4 == 0)
    assert 0 < np.isnan(poisoned).sum() < 40
