"""Networks of the zoo: sizes of the publications, initialization, records."""

import json
import math

import pytest

import deepinit as di
from deepinit.core import layers as L
from deepinit.core.errors import SpecError

TEXT = L.Shape((1024,), 50257, True)
IMAGE = L.Shape((224, 224), 3)

SMALL = {
    "gpt2": (di.zoo.gpt2(width=12, depth=2, heads=3), L.Shape((7,), 5, True)),
    "llama": (di.zoo.llama(16, 2, 4, 24), L.Shape((7,), 5, True)),
    "resnet18": (di.zoo.resnet18(4), L.Shape((32, 32), 3)),
    "vit": (di.zoo.vit(12, 2, 3, 8), L.Shape((32, 24), 3)),
}
NETWORKS = {
    **{name: network for name, (network, _) in SMALL.items()},
    **{f"gpt2-{size}": di.zoo.gpt2(size) for size in ("small", "medium", "large", "xl")},
    "llama-7b": di.zoo.llama(),
    "resnet18-64": di.zoo.resnet18(),
    "vit-s": di.zoo.vit(),
}


@pytest.mark.parametrize(
    ("size", "width", "depth", "published"),
    [
        ("small", 768, 12, 124_439_808),
        ("medium", 1024, 24, 354_823_168),
        ("large", 1280, 36, 774_030_080),
        ("xl", 1600, 48, 1_557_611_200),
    ],
)
def test_gpt2_has_the_published_parameters_but_biases_of_linear_maps(size, width, depth, published):
    network = di.zoo.gpt2(size)
    block = 12 * width**2 + 2 * 2 * width  # attention 4, MLP 8; two LayerNorms
    by_hand = (50257 + 1024) * width + depth * block + 2 * width + width
    assert L.num_parameters(network, TEXT) == by_hand
    biases = depth * (3 + 1 + 4 + 1) * width  # q, k, v; W_O; both maps of the MLP
    readout = width  # published: tied to the embedding
    assert by_hand - readout + biases == published


def test_llama_has_the_published_parameters():
    network = di.zoo.llama(outputs=32_000)
    block = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    by_hand = 2 * 32_000 * 4096 + 32 * block + 4096
    assert L.num_parameters(network, L.Shape((8,), 32_000, True)) == by_hand == 6_738_415_616


def test_resnet18_has_the_published_parameters_but_biases_of_the_readout():
    network = di.zoo.resnet18(outputs=1000)
    norms = lambda channels, count: count * 2 * channels
    by_hand = 3 * 49 * 64 + norms(64, 1) + 4 * 9 * 64**2 + norms(64, 4)
    for channels in (128, 256, 512):
        half = channels // 2
        by_hand += 9 * half * channels + 3 * 9 * channels**2 + half * channels + norms(channels, 5)
    by_hand += 512 * 1000
    assert L.num_parameters(network, IMAGE) == by_hand
    assert by_hand + 1000 == 11_689_512
    shapes = [
        site.shape.positions for site in L.sites(network, IMAGE) if "block_1.conv" in site.path
    ]
    assert shapes == [(56, 56), (56, 56), (28, 28), (14, 14)]
    assert L.program(network, IMAGE).last_shape == L.Shape((), 512)


def test_vit_s_has_the_published_parameters_but_biases_and_the_class_token():
    network = di.zoo.vit(outputs=1000)
    block = 12 * 384**2 + 2 * 2 * 384
    by_hand = 3 * 16**2 * 384 + 196 * 384 + 12 * block + 2 * 384 + 1000 * 384
    assert L.num_parameters(network, IMAGE) == by_hand
    biases = 384 + 12 * 9 * 384 + 1000
    assert by_hand + biases + 2 * 384 == 22_050_664


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_data(name):
    network = NETWORKS[name]
    record = json.loads(json.dumps(network.to_json()))
    assert L.layer_from_json(record) == network
    assert hash(L.layer_from_json(record)) == hash(network)
    assert "\n" not in repr(network)


@pytest.mark.parametrize("name", SMALL)
def test_small_versions_end_in_one_output(name):
    network, shape = SMALL[name]
    parts = L.program(network, shape)
    assert isinstance(parts.readout, L.Dense)
    positions = shape.positions if shape.tokens else ()
    assert parts.output_shape == L.Shape(positions, 1)
    table = network.summary(shape)
    assert table.num_parameters == L.num_parameters(network, shape)
    assert all(row.num_parameters is not None for row in table.rows)


def test_branches_of_gpt2_end_in_weights_scaled_by_the_depth():
    network = di.zoo.gpt2()
    rows = {row.path: row for row in network.summary(TEXT).rows}
    end = f"normal({0.02**2 / 24:g}, 'absolute')"
    assert rows["block.1..12.attention.branch.attention"].laws.endswith(f"output {end}")
    assert rows["block.1..12.mlp.branch.dense_2"].laws == end
    assert rows["block.1..12.mlp.branch.dense_1"].laws == "normal(0.0004, 'absolute')"
    assert [site.path for site in L.sites(network, TEXT)][2:5] == [
        "block.1.attention",
        "block.1.mlp",
        "block.2.attention",
    ]
    assert L.program(network, TEXT).depth == 24
    branch = network.layers[2].layer.layers[0].branch
    assert math.isclose(branch.layers[1].output_law.variance, 0.02**2 / 24)
    assert branch.layers[1].mask == "causal"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: di.zoo.gpt2("tiny"), "size='tiny'"),
        (lambda: di.zoo.gpt2(depth=0), "depth=0"),
        (lambda: di.zoo.gpt2(depth=2.5), r"depth=2\.5"),
        (lambda: di.zoo.gpt2(width=768, heads=7), r"block\.1\.attention.*7 heads of 768"),
        (lambda: di.zoo.gpt2(width=0), "width of Dense=0"),
        (lambda: di.zoo.llama(15, heads=3), "rotary with heads of width 5"),
        (lambda: di.zoo.llama(hidden=0), "width of Dense=0"),
        (lambda: di.zoo.resnet18(0), "channels of Conv=0"),
        (lambda: di.zoo.vit(outputs=0), "width of Dense=0"),
        (lambda: di.zoo.vit(patch=0), "size of Conv=0"),
        (lambda: L.program(di.zoo.gpt2(), L.Shape((8,), 5)), r"embed \(Embed\): an input of vec"),
        (lambda: L.program(di.zoo.vit(), L.Shape((8, 8), 3)), "patches of size 16 on 8 x 8"),
        (lambda: L.program(di.zoo.resnet18(), L.Shape((), 3)), "without positions"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(build, message):
    with pytest.raises(SpecError, match=message):
        build()
