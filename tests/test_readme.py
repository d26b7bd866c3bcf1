"""The README: one screen whose links, commands, code and printed output are right."""

import re

import pytest
from paths import ROOT

TEXT = (ROOT / "README.md").read_text()
CODE, OUTPUT = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", TEXT, re.S).groups()
NUMBER = r"[+-]?\d+(?:\.\d+)?"


def same_output(printed: str, stated: str) -> bool:
    """Equal texts; numbers up to two units of their last digit (devices differ in rounding)."""
    lines = [
        "\n".join(map(str.rstrip, text.strip("\n").splitlines())) for text in (printed, stated)
    ]
    found, expected = (re.findall(NUMBER, text) for text in lines)
    if re.sub(NUMBER, "#", lines[0]).split() != re.sub(NUMBER, "#", lines[1]).split():
        return False
    units = [10.0 ** -len(number.partition(".")[2]) for number in expected]
    pairs = zip(found, expected, units, strict=True)
    return all(abs(float(one) - float(other)) <= 2.01 * unit for one, other, unit in pairs)


def test_it_is_one_screen():
    assert len(TEXT.splitlines()) <= 80
    assert len([line for line in CODE.splitlines() if line]) == 6


def test_links_and_pictures_exist():
    places = re.findall(r"\]\((?!https:)([^)#]+)", TEXT)
    assert len(places) > 10
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_other_outputs_are_told_apart():
    assert same_output(OUTPUT, OUTPUT)
    assert same_output(OUTPUT.replace("-4.6634", "-4.6635"), OUTPUT)
    assert not same_output(OUTPUT.replace("-4.6634", "-4.6644"), OUTPUT)
    assert not same_output(OUTPUT.replace("tapered", "paper"), OUTPUT)


@pytest.mark.slow
def test_the_code_prints_its_output(capsys):
    exec(compile(CODE, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert same_output(printed, OUTPUT), printed


@pytest.mark.exhaustive
def test_the_figure_is_drawn_by_its_script():
    import sys

    sys.path.append(str(ROOT / "docs"))
    import readme_figure

    fig = readme_figure.draw(num_seeds=200)
    angles, kernels = fig.axes
    # three widths and the limit; the order 1/width and the limit
    assert len([line for line in angles.lines if line.get_marker() == "None"]) == 4
    labels = [line.get_label() for line in kernels.lines]
    assert {"order 1/width", "infinite width"} <= set(labels)
    theory = next(line for line in kernels.lines if line.get_label() == "order 1/width")
    points = sorted((float(x), float(y)) for c in kernels.containers for x, y in [_point(c)])
    slope, measured = theory.get_ydata()[-1] / theory.get_xdata()[-1], points[0][1] / points[0][0]
    assert slope < 0
    assert abs(measured / slope - 1) < 0.2  # at the largest width


def _point(container):
    x, y = container.lines[0].get_data()
    return x[0], y[0]
