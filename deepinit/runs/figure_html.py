"""Figures as HTML, in the colours of the page."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.symbols import plain, typeset
from deepinit.runs.figure_items import MAX_SVG_CHARACTERS, FigureItem

_COLOUR = re.compile(r"\b(fill|stroke): ?(#[0-9a-f]{6})\b", re.IGNORECASE)
_MOST_COLOURS = 64  # drawings with more have a colour map, which stays as it is
_WIDE = 760  # CSS pixels from which a figure spans two columns
_LARGEST = 1.2  # scale of a drawing, so that its text does not outgrow the page's
_TITLE = "scale(0.11 -0.11)"  # text of 11 points, which `plots.style.set_title` draws
_DARK_INK, _DARK_SURFACE = 236, 27  # grey values of black and white in dark mode
_LEAST_LUMINANCE = 0.18  # of lines on the dark surface: contrast above 3


class FigureHtml(NamedTuple):
    """A figure element's class and content, and whether it takes a row of two columns.

    `colours`: of the drawing, which dark mode changes.
    """

    kind: str
    content: str
    is_wide: bool
    colours: set[str]

    def element(self, fills_row: bool = False) -> str:
        """The element."""
        kind = f"{self.kind} wide" if fills_row or self.is_wide else self.kind
        return f'<figure class="{kind}">\n{self.content}\n</figure>'


def figure_html(item: FigureItem, number: int) -> FigureHtml:
    """A figure as HTML.

    Beside a title in the drawing the item's title is for screen readers only. SpecError for figures
    without a plain picture.
    """
    words = f"{item.title}. {item.caption}" if item.caption else item.title
    label = html.escape(plain(words), quote=True)
    colours: set[str] = set()
    if item.gif is not None:
        # bytes 6 and 7 of a GIF file hold its width in CSS pixels
        width = float(int.from_bytes(item.gif[6:8], "little"))
        picture = _inline_image("gif", item.gif, label, width)
    elif item.svg is not None and (item.png is None or len(item.svg) <= MAX_SVG_CHARACTERS):
        picture, colours, width = _inline_svg(item, number, label)
    elif item.png is not None:
        # bytes 16 to 20 of a PNG file hold its width; a figure has 150 dots per inch, a page 96
        width = int.from_bytes(item.png[16:20], "big") * 96.0 / 150.0
        picture = _inline_image("png", item.png, label, width)
    else:
        given = f"the figure {item.title!r} without a picture"
        raise SpecError(given, "svg, png or gif", "Use di.plots.to_svg.")
    drawn = ' class="drawn"' if _TITLE in picture else ""
    caption = f"\n<figcaption>{typeset(item.caption)}</figcaption>" if item.caption else ""
    content = f"<h3{drawn}>{typeset(item.title)}</h3>\n{picture}{caption}"
    return FigureHtml("themed" if colours else "picture", content, width > _WIDE, colours)


def figures_html(figures: Sequence[FigureHtml]) -> str:
    """Figures in two columns; one without a neighbour fills its row."""
    elements: list[str] = []
    left: FigureHtml | None = None  # waits for a neighbour
    for figure in figures:
        if left is not None:
            elements.append(left.element(fills_row=figure.is_wide))
        if figure.is_wide or left is not None:
            elements.append(figure.element())
            left = None
        else:
            left = figure
    if left is not None:
        elements.append(left.element(fills_row=True))
    body = "\n".join(elements)
    return f'<div class="figures">\n{body}\n</div>'


def _inline_image(kind: str, file: bytes, label: str, width: float) -> str:
    data = base64.b64encode(file).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{label}" style="width: {width:.0f}px">'


def _inline_svg(item: FigureItem, number: int, label: str) -> tuple[str, set[str], float]:
    """The svg element with unique ids and themed colours; these; its width in CSS pixels."""
    match = re.search(r"<svg\b([^>]*)>(.*)</svg>", item.svg or "", flags=re.DOTALL)
    view = re.search(r'viewBox="([-\d.\s]+)"', match.group(1)) if match else None
    active = r"<script|<foreignObject|\son\w+="
    if match is None or view is None or re.search(active, match.group(2), re.IGNORECASE):
        given = f"the figure {item.title!r} with an SVG that is not a plain drawing"
        allowed = "an svg element with a viewBox and no scripts"
        raise SpecError(given, allowed, "Use di.plots.to_svg.")
    inner = re.sub(r"<metadata>.*?</metadata>", "", match.group(2), flags=re.DOTALL)
    prefix = f"figure-{number}-"
    inner = re.sub(r'\bid="', f'id="{prefix}', inner)
    inner = re.sub(r"url\(#", f"url(#{prefix}", inner)
    inner = re.sub(r'href="#', f'href="#{prefix}', inner)
    colours = {"#000000", *(found.lower() for _, found in _COLOUR.findall(inner))}
    if "<image" in inner or len(colours) > _MOST_COLOURS:
        colours = set()
    else:
        inner = _COLOUR.sub(lambda found: f"{found[1]}: {variable(found[2])}", inner)
    size = [float(text) * 96.0 / 72.0 for text in view.group(1).split()[2:]]  # CSS pixels
    width = size[0]
    style = f"max-width: {width * (_LARGEST if width > size[1] else 1.0):.0f}px"
    tag = f'svg viewBox="{view.group(1)}" role="img" aria-label="{label}" style="{style}"'
    return f'<div class="drawing" tabindex="0"><{tag}>{inner}</svg></div>', colours, width


def variable(colour: str) -> str:
    """CSS of a colour that dark mode changes, by `palette`."""
    return f"var(--c{colour[1:].lower()})"


def palette(colours: Iterable[str]) -> str:
    """CSS properties of the colours, on screen in light and dark mode, and in print."""
    ordered = sorted(set(colours))
    light = " ".join(f"--c{colour[1:]}: {colour};" for colour in ordered)
    dark = " ".join(f"--c{colour[1:]}: {in_dark(colour)};" for colour in ordered)
    mode = "@media screen and (prefers-color-scheme: dark)"
    return f":root {{ {light} }}\n{mode} {{ :root {{ {dark} }} }}\n" if ordered else ""


def in_dark(colour: str) -> str:
    """A colour in dark mode: greys are inverted, dark colours lightened."""
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    if max(channels) - min(channels) <= 8:
        share = sum(channels) / (3 * 255)
        grey = round(_DARK_INK + (_DARK_SURFACE - _DARK_INK) * share)
        return "var(--surface)" if share == 1 else f"#{grey:02x}{grey:02x}{grey:02x}"
    for step in range(21):
        mixed = [round(value + (255 - value) * step / 20) for value in channels]
        if _luminance(mixed) >= _LEAST_LUMINANCE:
            break
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _luminance(channels: list[int]) -> float:
    """Relative luminance by WCAG."""
    red, green, blue = (_linear(value / 255) for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    """sRGB channel without its gamma."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
