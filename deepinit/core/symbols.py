"""Mathtext as HTML with subscripts and superscripts."""

import html
import re
import unicodedata

_OPERATORS = {"ln", "log", "sin", "cos", "tan", "exp", "max", "min", "det"}
_ROMAN = {"mathrm", "text", "mathbf", "mathcal", "mathit"}
_SYMBOLS = {
    "ell": "ℓ",
    "partial": "∂",
    "sum": "∑",
    "prod": "∏",
    "int": "∫",
    "infty": "∞",
    "langle": "⟨",
    "rangle": "⟩",
    "neq": " ≠ ",
    "leq": " ≤ ",
    "geq": " ≥ ",
    "approx": " ≈ ",
    "to": " → ",
    "in": " ∈ ",
    "sim": " ∼ ",
    "circ": " ∘ ",
    "cdot": " · ",
    "times": " × ",
    "pm": " ± ",
    "prime": "′",
    "odot": " ⊙ ",
    "parallel": "∥",
    "perp": "⊥",
    "left": "",
    "right": "",
}
_THIN = "\u2009"
_OPENING = ("(", "[", "|", "⟨", " ", _THIN)
_CHARACTERS = {
    "-": " − ",
    "+": " + ",
    "=": " = ",
    "<": " &lt; ",
    ">": " &gt; ",
    "&": "&amp;",
    ",": f",{_THIN}",
    "'": "′",
    "*": "∗",
}


def typeset(text: str) -> str:
    """Escaped HTML in which `$...$` is typeset; unpaired or unknown mathtext stays as it is."""
    parts = text.split("$")
    if len(parts) % 2 == 0:
        return html.escape(text)
    try:
        return "".join(
            f'<span class="math">{_Parser(part).row()}</span>' if odd else html.escape(part)
            for odd, part in zip([False, True] * len(parts), parts, strict=False)
        )
    except (KeyError, IndexError):
        return html.escape(text)


def plain(text: str) -> str:
    """The same as text: `ln sin2 θℓ`."""
    return html.unescape(re.sub(r"<[^>]*>", "", typeset(text)))


class _Parser:
    """Recursive descent; KeyError for unknown commands, IndexError for missing tokens."""

    def __init__(self, source: str) -> None:
        self.tokens = re.findall(r"\\[A-Za-z]+|\\.|\S", source)[::-1]

    def row(self, end: str = "") -> str:
        """HTML up to a closing token."""
        parts: list[str] = []
        while self.tokens and self.tokens[-1] != end:
            is_operator = self.tokens[-1][1:] in _OPERATORS
            is_sign = not parts and self.tokens[-1] in "+-"
            part = self.atom().strip() if is_sign else self.atom()
            while self.tokens and self.tokens[-1] in "^_":
                tag = "sup" if self.tokens.pop() == "^" else "sub"
                part += f"<{tag}>{self.atom().strip()}</{tag}>"
            follows = self.tokens and self.tokens[-1] not in ("(", ")", "|", end)
            before = _THIN if is_operator and parts and not parts[-1].endswith(_OPENING) else ""
            parts.append(before + part + (_THIN if is_operator and follows else ""))
        if end:
            self.tokens.pop()
        return "".join(parts)

    def atom(self) -> str:
        """HTML of one symbol or group."""
        token = self.tokens.pop()
        if token == "{":
            return self.row("}")
        if not token.startswith("\\"):
            return _CHARACTERS.get(token) or (f"<i>{token}</i>" if token.isalpha() else token)
        name = token[1:]
        if name in _ROMAN:
            return re.sub("</?i>", "", self.atom())
        if name in _OPERATORS:
            return name
        if not name.isalpha():
            return _THIN if name in ",;: " else "" if name == "!" else html.escape(name)
        return _SYMBOLS[name] if name in _SYMBOLS else _greek(name)


def _greek(name: str) -> str:
    """Letter, small ones in italics; KeyError for other names."""
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    spelled = name.upper().replace("LAMBDA", "LAMDA")  # as Unicode has it
    letter = unicodedata.lookup(f"GREEK {size} LETTER {spelled}")
    return letter if size == "CAPITAL" else f"<i>{letter}</i>"
