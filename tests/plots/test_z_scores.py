import dataclasses
import itertools

import numpy as np
import plot_data as data
import pytest
from matplotlib.patches import Rectangle

from deepinit import plots
from deepinit.comparison.compare import compare
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLUE, VERMILLION

pytestmark = pytest.mark.filterwarnings("error")


def shades(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def scored(z, name="second_order"):
    """An estimate, and a prediction that lies z standard errors below it."""
    z = np.asarray(z, np.float64)
    estimate = data.estimate_of(np.zeros_like(z), sd=0.5, num_seeds=100)
    return estimate, data.prediction_of(-0.05 * z, name)


def test_residuals_have_the_scores_of_the_comparison():
    """Standard errors below the rounding of float32, and networks that are all equal."""
    estimate, prediction = scored([[1.0], [-2.0], [3.0]])
    mean, error = np.array([[1.0], [1.0], [1.0]]), np.array([[1e-9], [0.01], [0.0]])
    settings = {**estimate.settings, "dtype": "float32"}
    estimate = dataclasses.replace(estimate, mean=mean, standard_error=error, settings=settings)
    prediction = dataclasses.replace(prediction, mean=np.array([[1 + 1e-8], [1.02], [1.0]]))
    comparison = compare(estimate, prediction)
    expected = comparison.dataset["z"].values[0, :, 0]
    np.testing.assert_allclose(expected, [-0.02, -2.0, 0.0], atol=0.01)  # not -10, -2, NaN
    for results in ((estimate, prediction), (comparison,)):
        curve = next(
            line for line in plots.residuals(*results).axes[0].lines if len(line.get_xdata()) == 3
        )
        np.testing.assert_array_equal(curve.get_ydata(), expected)


def test_residuals_are_in_standard_errors_with_the_gate_drawn():
    z = np.array([[1.0], [-2.0], [40.0], [-7.5]])
    fig = plots.residuals(*scored(z))
    (ax,) = fig.axes
    (curve,) = [line for line in ax.lines if line.get_color() == BLUE]
    np.testing.assert_allclose(curve.get_ydata(), z[:, 0], rtol=1e-12)
    assert ax.get_yscale() == "symlog"
    (gate,) = shades(ax)
    assert (gate.get_y(), gate.get_height()) == (-5.0, 10.0)
    low, high = ax.get_ylim()
    assert low < -7.5
    assert high > 40.0
    assert data.legend_texts(fig) == ["second order", "agreement: within ±5 standard errors"]


def test_residuals_keep_the_sign_of_measured_minus_predicted():
    estimate, _ = scored([[0.0]] * 3)
    fig = plots.residuals(estimate, data.prediction_of(np.full((3, 1), -0.1), "infinite_width"))
    (curve,) = [line for line in fig.axes[0].lines if line.get_color() == VERMILLION]
    assert (curve.get_ydata() > 0).all()


def test_residuals_without_a_standard_error_are_counted_not_drawn():
    estimate, prediction = scored([[1.0], [2.0], [3.0]])
    estimate.standard_error.setflags(write=True)
    estimate.standard_error[1] = 0.0
    estimate.standard_error[2] = np.nan
    fig = plots.residuals(estimate, prediction)
    assert "2 comparisons that cannot be judged not shown" in data.notes(fig)
    plots.to_png(fig)


def test_residuals_need_both_sides():
    estimate, prediction = scored([[1.0]])
    for results in ((estimate,), (prediction,), (estimate, estimate, prediction)):
        with pytest.raises(SpecError, match="one Estimate and at least one Prediction"):
            plots.residuals(*results)


@pytest.mark.parametrize("largest", [0.1, 6.0, 12.0, 3e2, 1e5, 1e9])
def test_score_axis_labels_do_not_collide(largest):
    fig = plots.residuals(*scored([[0.5], [-largest], [0.3 * largest]]))
    fig.draw_without_rendering()
    ax = fig.axes[0]
    boxes = [label.get_window_extent() for label in ax.get_yticklabels() if label.get_text()]
    boxes = sorted(
        (box for box in boxes if ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1),
        key=lambda box: box.y0,
    )
    assert len(boxes) >= 3
    assert all(lower.y1 <= upper.y0 for lower, upper in itertools.pairwise(boxes))


def dots(ax, marker):
    return sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == marker)


def test_z_panel_counts_what_passed_and_marks_what_did_not():
    estimate, good = scored(np.full((6, 2), 1.5))
    _, bad = scored(np.array([[1.0, 6.0]] * 6), "infinite_width")
    dataset = data.dataset_of(estimate, good, bad, label="a case")
    fig = plots.z_panel(dataset)
    ax = fig.axes[0]
    assert "18 of 24 comparisons are within ±5 standard errors" in fig.get_suptitle()
    assert (dots(ax, "o"), dots(ax, "x")) == (18, 6)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "a case\nsecond order",
        "a case\ninfinite width",
    ]
    assert {text.get_text() for text in ax.texts} >= {"12/12", "6/12"}
    only = plots.z_panel({"renamed": dataset}, routes=["second_order"])
    assert "All 12 comparisons are within ±5 standard errors" in only.get_suptitle()
    assert dots(only.axes[0], "x") == 0
    assert "renamed" in only.axes[0].get_yticklabels()[0].get_text()


def test_z_panel_takes_lists_and_bare_scores_and_names_undefined_ones():
    dataset = data.dataset_of(*scored([[1.0], [2.0]]))
    assert len(plots.z_panel([dataset, dataset]).axes[0].get_yticklabels()) == 2
    fig = plots.z_panel({"scores": np.array([0.1, np.nan, -9.0])})
    assert "1 of 2 comparisons" in fig.get_suptitle()
    assert "1 comparison that cannot be judged" in data.notes(fig)


def test_z_panel_without_rows_is_refused():
    with pytest.raises(SpecError, match="no comparisons"):
        plots.z_panel(data.dataset_of(*scored([[1.0]])), routes=["another"])


def test_z_exactly_at_the_gate_is_outside():
    fig = plots.z_panel({"edge": np.array([5.0, -5.0, 4.999])})
    assert "1 of 3" in fig.get_suptitle()
