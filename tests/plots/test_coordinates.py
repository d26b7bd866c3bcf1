import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diagnosis.scaling.result import Row, ScalingCheck

WIDTHS = (64, 128, 256, 512)


def row(layer, role, part, power, **fields):
    values = np.array(WIDTHS, float) ** power
    flat = np.full(4, power)
    probe = fields.pop("probe", "new input")
    return Row(
        layer, role, part, probe, values, 0.1 * values, power, 0.01, flat, 0 * flat, **fields
    )


def check(*rows):
    return ScalingCheck(WIDTHS, rows, "", "sgd", 10, 64)


GUIDES = {"standard": 0.5, "muP": 0.0}
LONG = "Model/Block_0/MultiHeadDotProductAttention_0/query"


def test_a_panel_a_layer_type_with_measured_and_predicted_slopes():
    rows = [
        row("Model/Embed", "first", "own change", -0.5, predicted=-0.5),
        *(row(LONG, "hidden", "own change", 0.5, guides=GUIDES) for _ in range(7)),
        row("output", "output", "total change", 1.0, predicted=1.0),
        row("output", "output", "size", 0.0, predicted=0.0),
    ]
    figure = di.plots.scaling_check(check(*rows))
    axes = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in axes] == [
        "first layer", "hidden layers", "change of the output", "output at initialization"
    ]  # fmt: skip
    legend = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert legend == ["Block_0/…/query: +0.50 ± 0.01"] * 5
    guides = {text.get_text() for text in axes[1].texts}
    assert guides == {"+0.5 standard", "+0 muP"}
    assert {text.get_text() for text in axes[2].texts} == {"+1 predicted"}
    lines = [line for line in axes[0].get_lines() if line.get_linestyle() == "--"]
    x, y = np.log(lines[0].get_xdata()), np.log(lines[0].get_ydata())
    assert np.polyfit(x, y, 1)[0] == pytest.approx(-0.5)


def test_only_the_panels_that_have_rows():
    rows = [row("layer 1", "first", "own change", 0.0), row("layer 1", "first", "size", 0.0)]
    assert len(di.plots.scaling_check(check(*rows)).axes) == 1
    with pytest.raises(SpecError):
        di.plots.scaling_check(check(*rows), probe="training input")
