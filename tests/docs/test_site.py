"""The documentation site: examples of the gallery, names of the reference."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_extensions"))

import gallery  # noqa: E402
import reference  # noqa: E402

EXAMPLES = sorted((ROOT / "docs" / "gallery" / "examples").glob("*.py"))


def test_every_public_name_is_on_a_page_of_the_reference():
    assert reference.undocumented() == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_have_a_title_a_text_and_few_lines(file):
    example = gallery.read(file)
    assert example.section in gallery.SECTIONS


def test_longer_examples_are_refused(tmp_path):
    long = tmp_path / "angles_long.py"
    long.write_text('"""Title.\n\nText.\n"""\n\n' + "x = 1\n" * 16)
    with pytest.raises(ValueError, match="16 lines"):
        gallery.read(long)


@pytest.mark.exhaustive
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_draw_a_figure(file, tmp_path):
    gallery.draw(file, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
