"""Names and units: symbols on axes, components in tables, parametrization of tangent kernels."""

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from statistical import assert_value

import deepinit as di
from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.core.results import Estimate, Prediction, component_names
from deepinit.quantities.routes import evaluate

Q = di.quantities
QUANTITIES = tuple(Q.BUILTIN.values())
CODE_NAMES = {quantity.name for quantity in QUANTITIES if "_" in quantity.name}


def results(symbol, shape=(3, 2), quantity="log_norm", entries=None):
    """An Estimate and a Prediction of this shape."""
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    statistics = {
        name: values + 1.0
        for name in ("variance", "variance_standard_error", "skewness", "minimum", "maximum")
    }
    quantiles, events = np.stack([values] * len(QUANTILE_LEVELS)), {"dead": np.zeros(shape, int)}
    shown = {"symbol": symbol, "entries": entries}
    estimate = Estimate(
        quantity,
        values,
        0.1 + 0 * values,
        **statistics,
        quantiles=quantiles,
        num_seeds=9,
        events=events,
        **shown,
    )
    return estimate, Prediction(
        quantity, "exact", values, 0 * values + 1.0, "exact", "", "", symbol
    )


def axis_texts(fig):
    """All that is written along axes."""
    found = [text.get_text() for text in (fig._supylabel, fig._supxlabel) if text is not None]
    return found + [ax.get_ylabel() for ax in fig.axes] + [ax.get_xlabel() for ax in fig.axes]


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
@pytest.mark.slow_cases("log_norm", "log_sin2_angle")
def test_axes_show_the_symbol_of_the_quantity(quantity):
    assert not any(
        name in quantity.symbol or name.replace("_", " ") == quantity.symbol for name in CODE_NAMES
    )
    estimate, prediction = results(quantity.symbol, quantity=quantity.name)
    comparison = di.compare(estimate, prediction)
    figures = [
        di.plots.layers(prediction),
        di.plots.layers(comparison),
        di.plots.variance_layers(estimate, prediction),
    ]
    figures.append(di.plots.by_width({8: (estimate, prediction)}))
    MathTextParser("path").parse(quantity.symbol)
    for fig in figures:
        texts = axis_texts(fig)
        assert any(quantity.symbol in text for text in texts), texts
        assert not any(
            name in text or name.replace("_", " ") in text for name in CODE_NAMES for text in texts
        ), texts


def test_rows_of_scores_show_symbols():
    comparisons = [
        di.compare(*results(quantity.symbol, quantity=quantity.name)) for quantity in QUANTITIES
    ]
    rows = [text.get_text() for text in di.plots.z_panel(comparisons).axes[0].get_yticklabels()]
    assert len(rows) == len(QUANTITIES)
    assert all(any(quantity.symbol in row for row in rows) for quantity in QUANTITIES)


@pytest.mark.slow
def test_routes_hand_on_the_symbol():
    net, inputs = di.MLP((4,)), di.inputs.pair(0.5)
    sim = di.simulate(net, Q.log_norm, inputs, num_seeds=4)
    found = [sim, di.predict(net, Q.log_norm, inputs), di.predict(net, Q.log_norm, inputs, "exact")]
    found += [di.infinite(net, Q.log_norm, inputs), *evaluate(net, Q.log_norm, inputs)[0]]
    assert {result.symbol for result in found} == {Q.log_norm.symbol}
    assert di.compare(*found[:2]).dataset.attrs["symbol"] == Q.log_norm.symbol


def test_components_have_names():
    assert component_names(("0",)) == ("",)
    assert component_names(("1, 1",)) == ("",)
    assert component_names(("0", "1")) == ("component 0", "component 1")
    assert component_names(("1: angle 0.5", "test set")) == ("1: angle 0.5", "test set")


ONE_POINT = ("log_norm", "survival", "nngp", "log_gradient_norm", "output_kurtosis")


@pytest.mark.parametrize("name", ONE_POINT)
def test_a_quantity_at_one_point_is_no_pair(name):
    quantity, inputs = getattr(Q, name), di.inputs.ones(2)
    entries = quantity.measurement.entries(di.MLP((4,)), inputs)
    found = results(quantity.symbol, (3, 1), name, entries)
    comparison = di.compare(*found)
    for text in (
        str(comparison),
        *titles(di.plots.layers(*found)),
        *titles(di.plots.layers(comparison)),
    ):
        assert "component" not in text


def titles(fig):
    """All headings of a figure."""
    artists = [fig._suptitle, *fig.artists]
    return [text.get_text() for text in artists if hasattr(text, "get_text")] + [
        ax.get_title(loc="left") for ax in fig.axes
    ]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_a_comparison_prints_its_components_or_how_many_it_leaves_out(count):
    text = str(di.compare(*results("", (3, count))))
    for index in range(count):
        assert (f"component {index}:" in text) == (count > 1 and index < 4)
    assert ("3 of 7 components are not shown: .dataset has them all." in text) == (count == 7)


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_names_of_several_components_are_printed(quantity):
    names = (
        ("1, 1", "1, 2", "2, 2")
        if quantity.name in ("nngp", "ntk", "bias_ntk")
        else ("first", "second", "3")
    )
    text = str(di.compare(*results(quantity.symbol, (2, 3), quantity.name, names)))
    assert all(f"{quantity.name}, {name}: 9 networks" in text for name in component_names(names))


@pytest.mark.slow
def test_the_tangent_kernel_is_that_of_the_parametrization_it_states():
    """One linear layer without biases: Theta = v (x.x') / dimension, the same for every network."""
    inputs = di.inputs.points([[1.0, 2.0], [0.5, -1.0]])
    for record in ("ntk", "bias_ntk"):
        assert "NTK parametrization" in getattr(Q, record).label
    net = di.MLP((1,), "linear", di.normal(3.0), output_width=1, output_law=di.normal(5.0))
    sim = di.simulate(net, Q.ntk, inputs, num_seeds=4000)
    overlap = np.array([5.0, -1.5, 1.25]) / 2.0
    # E W^2 = 3 / 2, E A^2 = 5: A^2 3 / 2 (x.x') from layer 1, 5 (W.x)(W.x') from the last
    standard = (5.0 + 1.5) * 2.0 * overlap
    for entry in range(3):
        found = sim.mean[0, entry], sim.standard_error[0, entry]
        assert_value(*found, 30.0 * overlap[entry], rejects=standard[entry])
