"""Figures as HTML, in the colours of the page."""

import base64
import html
import re
from collections.abc import Iterable

from deepinit.core.errors import SpecError
from deepinit.core.symbols import plain, typeset
from deepinit.runs.figure_items import MAX_SVG_CHARACTERS, FigureItem

_COLOUR = re.compile(r"\b(fill|stroke): ?(#[0-9a-f]{6})\b", re.IGNORECASE)
_MOST_COLOURS = 64  # drawings with more have a colour map, which stays as it is
_WIDE = 1.8  # width over height from which a drawing spans two columns
_DARK_INK, _DARK_SURFACE = 236, 27  # grey values of black and white in dark mode
_LEAST_LUMINANCE = 0.18  # of lines on the dark surface: contrast above 3


def figure_html(item: FigureItem, number: int, title: str = "") -> tuple[str, set[str]]:
    """The figure element, and its colours that dark mode changes.

    `title`: heading inside the element. SpecError for figures without a plain picture.
    """
    words = f"{item.title}. {item.caption}" if item.caption else item.title
    label = html.escape(plain(words), quote=True)
    colours: set[str] = set()
    kind = "picture"
    if item.gif is not None:
        # bytes 6 and 7 of a GIF file hold its width in CSS pixels
        picture = _inline_image("gif", item.gif, label, int.from_bytes(item.gif[6:8], "little"))
    elif item.svg is not None and (item.png is None or len(item.svg) <= MAX_SVG_CHARACTERS):
        picture, colours, ratio = _inline_svg(item, number, label)
        kind = " ".join(["themed" if colours else "picture", *["wide"] * (ratio > _WIDE)])
    elif item.png is not None:
        # bytes 16 to 24 of a PNG file hold its size; a figure has 150 dots per inch, a page 96
        size = [int.from_bytes(item.png[place : place + 4], "big") for place in (16, 20)]
        picture = _inline_image("png", item.png, label, size[0] * 96.0 / 150.0)
        kind = "picture wide" if size[0] > _WIDE * size[1] else "picture"
    else:
        given = f"the figure {item.title!r} without a picture"
        raise SpecError(given, "svg, png or gif", "Use di.plots.to_svg.")
    head = f"<h3>{typeset(title)}</h3>\n" if title else ""
    caption = f"\n<figcaption>{typeset(item.caption)}</figcaption>" if item.caption else ""
    return f'<figure class="{kind}">\n{head}{picture}{caption}\n</figure>', colours


def _inline_image(kind: str, file: bytes, label: str, width: float) -> str:
    data = base64.b64encode(file).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{label}" style="width: {width:.0f}px">'


def _inline_svg(item: FigureItem, number: int, label: str) -> tuple[str, set[str], float]:
    """The svg element with unique ids and themed colours; these; width over height."""
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
    width, height = map(float, view.group(1).split()[2:])
    tag = f'svg viewBox="{view.group(1)}" role="img" aria-label="{label}"'
    return f"<{tag}>{inner}</svg>", colours, width / height


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
