import numpy as np
import pytest

from deepinit import plots
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLUE, VERMILLION

pytestmark = pytest.mark.filterwarnings("error")
X = np.linspace(-2.0, 2.0, 9)
DRAWS = np.random.default_rng(0).standard_normal((400, 1)) * X + X**2
BAND = np.stack([X**2 - 1.645 * abs(X), X**2, X**2 + 1.645 * abs(X)])


def lines_of(ax, colour):
    return [line for line in ax.lines if line.get_color() == colour and len(line.get_xdata())]


@pytest.mark.slow
def test_draws_show_their_quantiles_and_the_predicted_ones():
    fig = plots.function_draws(
        {"a": (X, DRAWS), "b": (X, -DRAWS)},
        {"a": (X, BAND)},
        x_label="z",
        y_label="f",
        title="Functions",
    )
    first, second = [ax for ax in fig.axes if ax.get_title(loc="left") or ax.get_title()]
    measured = np.array([line.get_ydata() for line in lines_of(first, BLUE)])
    np.testing.assert_allclose(measured, np.quantile(DRAWS, (0.05, 0.5, 0.95), axis=0))
    assert len(lines_of(first, VERMILLION)) == 3
    assert not lines_of(second, VERMILLION)
    assert plots.to_png(fig)


def test_panels_have_one_scale_if_asked_and_hold_their_bands():
    panels = {"a": (X, DRAWS), "b": (X, 10 * DRAWS)}
    own, one = (
        plots.function_draws(
            panels, {"a": (X, 40 * BAND)}, x_label="z", y_label="f", title="", one_scale=one_scale
        )
        for one_scale in (False, True)
    )
    assert own.axes[0].get_ylim() != own.axes[1].get_ylim()
    assert one.axes[0].get_ylim() == one.axes[1].get_ylim()
    for fig in (own, one):
        low, high = fig.axes[0].get_ylim()
        assert low < 40 * BAND.min() < 40 * BAND.max() < high


def test_draws_that_are_not_finite_are_left_out():
    broken = DRAWS.copy()
    broken[0, 3] = np.nan
    fig = plots.function_draws({"a": (X, broken)}, x_label="z", y_label="f", title="Functions")
    measured = lines_of(fig.axes[0], BLUE)[1].get_ydata()
    np.testing.assert_allclose(measured, np.median(DRAWS[1:], axis=0))


@pytest.mark.slow
def test_correlation_maps_have_one_scale():
    correlations = np.outer(np.sign(X), np.sign(X))
    correlations[4] = correlations[:, 4] = np.nan  # no variance at 0
    fig = plots.correlation_maps(
        {"a": (X, correlations), "b": (X, np.eye(9))}, x_label="z", y_label="z'", title="Maps"
    )
    meshes = [ax.collections[0] for ax in fig.axes[:2]]
    assert [mesh.get_clim() for mesh in meshes] == [(-1.0, 1.0)] * 2
    assert np.ma.count_masked(np.ma.masked_invalid(meshes[0].get_array())) == 17
    assert plots.to_svg(fig)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.function_draws({}, x_label="", y_label="", title=""), "0 panels"),
        (
            lambda: plots.function_draws(
                {str(k): (X, DRAWS) for k in range(9)}, x_label="", y_label="", title=""
            ),
            "9 panels",
        ),
        (
            lambda: plots.function_draws({"a": (X, DRAWS.T)}, x_label="", y_label="", title=""),
            "draws of shape",
        ),
        (
            lambda: plots.function_draws(
                {"a": (X, DRAWS * np.nan)}, x_label="", y_label="", title=""
            ),
            "no finite draw",
        ),
        (
            lambda: plots.function_draws(
                {"a": (X, DRAWS)}, {"b": (X, BAND)}, x_label="", y_label="", title=""
            ),
            "a band",
        ),
        (lambda: plots.correlation_maps({}, x_label="", y_label="", title=""), "0 maps"),
        (
            lambda: plots.correlation_maps(
                {"a": (X, 2 * np.eye(9))}, x_label="", y_label="", title=""
            ),
            "cosines",
        ),
        (
            lambda: plots.correlation_maps(
                {"a": (X[1:], np.eye(9))}, x_label="", y_label="", title=""
            ),
            "x of shape",
        ),
    ],
)
def test_figures_of_nothing_or_of_shapes_that_do_not_fit_are_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
