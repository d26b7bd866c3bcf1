"""The documentation site: examples of the gallery, names of the reference."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_extensions"))

import gallery  # noqa: E402
import reference  # noqa: E402

import deepinit as di  # noqa: E402

EXAMPLES = sorted((ROOT / "docs" / "gallery" / "examples").glob("*.py"))


@pytest.mark.slow  # imports every part
def test_every_public_name_is_on_a_page_of_the_reference():
    assert reference.undocumented() == []


@pytest.mark.slow  # imports every part
def test_a_name_without_a_page_and_one_without_a_docstring_are_found(monkeypatch):
    monkeypatch.setattr(di, "unlisted", lambda: 0, raising=False)
    monkeypatch.setattr(di, "__all__", [*di.__all__, "unlisted"])
    assert reference.undocumented() == ["unlisted"]
    monkeypatch.setattr(di.plots, "silent", lambda: 0, raising=False)
    monkeypatch.setattr(di.plots, "__all__", [*di.plots.__all__, "silent"])
    assert reference.undocumented() == ["plots.silent", "unlisted"]


@pytest.mark.slow  # imports every part
def test_pages_of_parts_without_a_list_have_their_names():
    assert {"training_seed_fn", "small_mlp"} <= set(reference.public(di.training))
    assert {"posterior", "empirical_bayes"} <= set(reference.public(di.inference))
    assert "np" not in reference.public(di.inference)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_have_a_title_a_text_and_few_lines(file):
    example = gallery.read(file)
    assert example.section in gallery.SECTIONS


def test_the_gallery_has_every_section_and_24_figures():
    assert len(EXAMPLES) >= 24
    assert {gallery.read(file).section for file in EXAMPLES} == set(gallery.SECTIONS)


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
