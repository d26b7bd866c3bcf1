"""Docstrings as Markdown."""

import sys

from paths import ROOT

sys.path.append(str(ROOT / "docs" / "_extensions"))

import docstrings

DOCSTRING = """Mean of x_i * y_i over `x_i`.

    The law

        m_i = [a_i, b_i]

    holds.

    Args:
        x, y: of any length,
            also 0.
        size: > 0.

    Raises SpecError: never
        or always.
    """


def test_sections_formulas_and_text():
    assert docstrings.markdown(DOCSTRING).split("\n\n") == [
        r"Mean of x\_i \* y\_i over `x_i`.",
        "The law",
        "```text\nm_i = [a_i, b_i]\n```",
        "holds.",
        "**Args**",
        "- `x, y`: of any length, also 0.\n- `size`: \\> 0.",
        "Raises SpecError: never or always.",
    ]


def test_one_backtick_is_no_code():
    assert docstrings.escaped("f`s key") == "f's key"
