"""Mathtext as HTML."""

import pytest

from deepinit.core.symbols import plain, typeset
from deepinit.quantities import BUILTIN


def math(text):
    return f'<span class="math">{text}</span>'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"$\ln \sin^2 \theta^\ell$", math("ln sin<sup>2</sup> <i>θ</i><sup>ℓ</sup>")),
        (r"$P(x_\ell \neq 0)$", math("<i>P</i>(<i>x</i><sub>ℓ</sub> ≠ 0)")),
        (r"$\langle \cos \rangle_{s<t}$", math("⟨cos ⟩<sub><i>s</i> &lt; <i>t</i></sub>")),
        (r"$\mathrm{len}(F)$", math("len(<i>F</i>)")),
        (r"$-\Theta$", math("−Θ")),
        (r"$\lambda$", math("<i>λ</i>")),
        ("loss $R$ & more", f"loss {math('<i>R</i>')} &amp; more"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_symbols_are_typeset(source, expected):
    assert typeset(source).replace("\u2009", " ") == expected


@pytest.mark.parametrize(
    "text", ["cost $HOME", r"$\unknown$", "$x^$", "${$", "$a$ and $b", "$x_$", "$\\mathrm$"]
)
def test_text_that_is_no_mathtext_stays(text):
    assert typeset(text) == text


def test_plain_text_has_no_tags():
    assert plain(r"angle $\theta_1$ & <more>") == "angle θ1 & <more>"


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_the_symbol_of_every_quantity_is_typeset(name):
    symbol = BUILTIN[name].symbol
    shown = typeset(symbol)
    assert not set("\\{}^_$") & set(shown)
    assert ("math" in shown) == ("$" in symbol)
