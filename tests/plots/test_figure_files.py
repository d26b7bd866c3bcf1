"""Figures and their files: reproducible, without pyplot, texts apart."""

import subprocess
import sys

import matplotlib
import numpy as np
import plot_data as data
import pytest

from deepinit import plots
from deepinit.plots.style import KNOWN_COLOURS

pytestmark = pytest.mark.filterwarnings("error")


def test_importing_plots_imports_neither_matplotlib_nor_xarray_nor_jax():
    code = "import sys, deepinit.plots; modules = ('matplotlib', 'xarray', 'jax')\n"
    code += "print([m for m in modules if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


@pytest.mark.slow
def test_files_are_reproducible_and_the_process_settings_stay():
    before = dict(matplotlib.rcParams)

    def draw():
        return plots.layers(
            data.estimate_of(data.slope(3)), data.prediction_of(data.slope(3), variance=0.1)
        )

    fig = draw()
    svg, png = plots.to_svg(fig), plots.to_png(fig)
    assert plots.to_svg(fig) == svg == plots.to_svg(draw())
    assert plots.to_png(fig) == png == plots.to_png(draw())
    assert png.startswith(b"\x89PNG")
    assert "<text" not in svg  # letters are outlines: the same on a machine without the font
    assert "<dc:date>" not in svg
    with matplotlib.rc_context(
        {"axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9, "axes.grid": False}
    ):
        assert plots.to_svg(draw()) == svg
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
@pytest.mark.exhaustive
def test_writing_a_figure_twice_does_not_move_it():
    mean = data.slope(16, 4) - np.arange(4)
    fig = plots.layers(
        data.dataset_of(data.estimate_of(mean), data.prediction_of(mean), label="four pairs")
    )
    assert plots.to_svg(fig) == plots.to_svg(fig)


@pytest.mark.slow
def test_pyplot_is_never_involved():
    code = (
        "import sys, numpy as np; from deepinit import plots\n"
        "from deepinit.core.results import Prediction\n"
        "fig = plots.layers(Prediction('q', 'paper', np.zeros((3, 1)), None, '', '', ''))\n"
        "plots.to_svg(fig)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "False"


@pytest.mark.slow
def test_no_text_of_a_figure_overlaps_another():
    fig = plots.layers(
        data.dataset_of(
            data.estimate_of(data.slope(16, 4)),
            *(
                data.prediction_of(data.slope(16, 4) + 0.1 * k, name, variance=0.2)
                for k, name in enumerate(KNOWN_COLOURS)
            ),
            label="a long label of the data that explains at some length the input of networks "
            * 2,
        )
    )
    fig.draw_without_rendering()
    boxes = [fig.legends[0].get_window_extent(), fig._supylabel.get_window_extent()]
    boxes += [ax.get_tightbbox(for_layout_only=True) for ax in fig.axes]
    boxes += [artist.get_window_extent() for artist in fig.artists]
    for i, one in enumerate(boxes):
        assert fig.bbox.x0 <= one.x0
        assert one.x1 <= fig.bbox.x1
        for other in boxes[i + 1 :]:
            assert one.count_overlaps([other.padded(-1.0)]) == 0
