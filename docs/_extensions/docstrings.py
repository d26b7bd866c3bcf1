"""Docstrings in Google style as Markdown.

Paragraphs stay text; lines indented within them (formulas, code) become blocks; arguments and
attributes become lists.
"""

import inspect
import re

SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
ITEM = re.compile(r"(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*): (.*)")
HANGING = re.compile(r"(Raises|Valid for|Reference|Error|Returns)\b")
SPECIAL = re.compile(r"([\\*_<>$#\[\]{}|~^])")


def markdown(docstring: str) -> str:
    """Markdown of a docstring."""
    lines, parts = inspect.cleandoc(docstring).splitlines(), []
    while lines:
        if not lines[0].strip():
            lines = lines[1:]
            continue
        take = _section if SECTION.match(lines[0]) else _indented if _indent(lines[0]) else _text
        part, lines = take(lines)
        parts.append(part)
    return "\n\n".join(parts)


def escaped(text: str) -> str:
    """Text without Markdown's own characters, except within backticks."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backtick alone
        return SPECIAL.sub(r"\\\1", text.replace("`", "'"))
    return "`".join(
        piece if index % 2 else SPECIAL.sub(r"\\\1", piece) for index, piece in enumerate(pieces)
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else 0


def _text(lines: list[str]) -> tuple[str, list[str]]:
    """Lines up to an empty or a section's line, or to an indented one unless it continues."""
    taken, hanging = [lines[0]], HANGING.match(lines[0]) and not lines[0].endswith(":")
    for line in lines[1:]:
        if not line.strip() or (_indent(line) and not hanging) or SECTION.match(line):
            break
        taken.append(line)
    text = escaped(" ".join(line.strip() for line in taken))
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", text)), lines[
        len(taken) :
    ]


def _indented(lines: list[str]) -> tuple[str, list[str]]:
    """A block of indented lines as it is."""
    taken = _while_indented(lines)
    block = inspect.cleandoc("\n" + "\n".join(taken))
    return f"```text\n{block}\n```", lines[len(taken) :]


def _section(lines: list[str]) -> tuple[str, list[str]]:
    """Items of a section as a list; of other sections as paragraphs."""
    name, taken = lines[0].rstrip(":"), _while_indented(lines[1:])
    items: list[str] = []
    for line in inspect.cleandoc("\n" + "\n".join(taken)).splitlines():
        if _indent(line) and items:
            items[-1] += " " + line.strip()
        elif line.strip():
            items.append(line.strip())
    listed = "\n".join(f"- {_item(item)}" for item in items)
    return f"**{name}**\n\n{listed}", lines[1 + len(taken) :]


def _item(text: str) -> str:
    found = ITEM.match(text)
    return f"`{found[1]}`: {escaped(found[2])}" if found else escaped(text)


def _while_indented(lines: list[str]) -> list[str]:
    """Indented and empty lines at the beginning, without empty ones at the end."""
    count = next((k for k, line in enumerate(lines) if line.strip() and not _indent(line)), None)
    taken = lines[:count]
    while taken and not taken[-1].strip():
        taken.pop()
    return taken
