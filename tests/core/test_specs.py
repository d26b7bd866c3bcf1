import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepinit as di
from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import choose_linear_map, spec_from_json

LAWS = [
    None,
    di.normal(1.5),
    di.uniform(2.0),
    di.orthogonal(1.0),
    di.sparse(2.0, density=0.25),
    di.normal(1.0, "depth"),
]


@settings(deadline=None)  # the first example pays for a quadrature
@given(
    widths=st.lists(st.integers(1, 5000), min_size=1, max_size=6),
    activation=st.sampled_from([di.relu, di.leaky_relu(0.2), di.tanh, di.gelu]),
    law=st.sampled_from(LAWS),
    bias=st.sampled_from([None, di.normal(0.1, "absolute")]),
    output=st.sampled_from([None, 1, 10]),
)
def test_specs_survive_json_and_hash(widths, activation, law, bias, output):
    spec = di.MLP(tuple(widths), activation, law, bias, output)
    again = spec_from_json(json.dumps(spec.to_json()))
    assert again == spec
    assert hash(again) == hash(spec)


def test_defaults_are_he_initialization_without_bias():
    spec = di.MLP(widths=(8, 8))
    assert spec.weight_law == di.normal(2.0)
    assert spec.bias_law is None
    assert spec.is_homogeneous
    assert not di.MLP(widths=(8,), activation=di.tanh).is_homogeneous
    assert not di.MLP(widths=(8,), bias_law=di.normal(0.1, "absolute")).is_homogeneous


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widths": ()}, "no layers"),
        ({"widths": (8, 0)}, "width 0 at layer 2"),
        ({"widths": (-3,)}, "width -3 at layer 1"),
        ({"widths": (2.5,)}, "width 2.5 at layer 1"),
        ({"widths": ("a",)}, "width 'a' at layer 1"),
        ({"widths": (float("nan"),)}, "width nan at layer 1"),
        ({"widths": (float("inf"),)}, "width inf at layer 1"),
        ({"widths": ("8",)}, "width '8' at layer 1"),
        ({"widths": (8,), "weight_law": "normal"}, r"weight_law='normal'.*di\.normal\(2\.0\)"),
        ({"widths": (8,), "bias_law": 0.1}, r"bias_law=0\.1.*absolute"),
        (
            {"widths": (8,), "output_width": 1, "output_law": 2.0},
            r"output_law=2\.0.*di\.normal\(2\.0\)",
        ),
        ({"widths": (8,), "output_width": 1.5}, r"width 1\.5 of the output layer"),
        ({"widths": (8,), "output_width": "a"}, "width 'a' of the output layer"),
        ({"widths": 8}, "one integer per hidden layer"),
        ({"widths": (8,), "activation": "relo"}, "'relo'"),
        ({"widths": (8,), "bias_law": di.normal(0.1)}, "absolute"),
        ({"widths": (8,), "output_law": di.normal(1.0)}, "output_width"),
        ({"widths": (8,), "output_width": 0}, "width 0"),
    ],
)
def test_bad_specs_are_refused_in_one_paragraph(fields, message):
    with pytest.raises(SpecError, match=message) as caught:
        di.MLP(**fields)
    assert "Allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_seeds", [0, -1, 2**32, 10.5, float("nan"), "10", None])
def test_only_a_whole_number_of_networks_that_32_bits_number_is_allowed(num_seeds):
    with pytest.raises(
        SpecError, match=f"num_seeds={num_seeds!r}.*Allowed: integers from 1 to 4294967295"
    ):
        validate.num_seeds(num_seeds)
    validate.num_seeds(1)
    validate.num_seeds(2**32 - 1)


def test_conditional_needs_gaussian_weights():
    with pytest.raises(SpecError, match="linear_map='conditional' with the weight law 'uniform'"):
        choose_linear_map(di.MLP(widths=(8,), weight_law=di.uniform(2.0)), "conditional")
    assert choose_linear_map(di.MLP(widths=(8,), weight_law=di.uniform(2.0)), "auto") == "explicit"
    assert choose_linear_map(di.MLP(widths=(8,)), "auto") == "conditional"
    with pytest.raises(SpecError, match="linear_map='exact'"):
        choose_linear_map(di.MLP(widths=(8,)), "exact")


def test_specs_and_inputs_need_no_jax():
    code = (
        "import sys, deepinit as di; di.MLP((4,) * 3, di.tanh).to_json(); "
        "di.inputs.pair(0.1).digest; di.quantities.log_sin2_angle; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "call", [lambda: di.MLP((True, 4)), lambda: di.ResNet(True, 4), lambda: di.ResNet(4, True)]
)
def test_truth_values_are_no_sizes(call):
    with pytest.raises(SpecError, match=r"True.*integers >= 1"):
        call()
