"""Missing optional packages."""

import importlib
import sys

import pytest

import deepinit as di
from deepinit.core.errors import ResourceError
from deepinit.core.extras import missing_extra, optional


def test_a_missing_package_is_refused_with_its_install_line(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="flax")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ResourceError, match=r"needs flax.*pip install 'deepinit\[flax\]'"):
        optional("flax.linen")


def test_an_installed_package_is_imported():
    assert optional("flax.linen").Module


def test_other_missing_modules_are_not_ours():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        optional("no_such_package")
    assert missing_extra(ModuleNotFoundError(name=None)) is None


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("flax.linen", "flax", lambda: di.from_linen(object())),
        ("flax.nnx", "flax", lambda: di.from_nnx(lambda rngs: None)),
    ],
)
def test_every_use_of_an_extra_names_its_install_line(monkeypatch, module, extra, use):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ResourceError) as error:
        use()
    assert f"pip install 'deepinit[{extra}]'" in str(error.value)
    assert "\n" not in str(error.value)


def test_data_and_neural_tangents_are_asked_for_where_they_are_found_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "neural_tangents", raising=False)
    with pytest.raises(ResourceError, match=r"pip install 'deepinit\[data\]'"):
        di.inputs.images.__wrapped__()
    with pytest.raises(ResourceError, match=r"pip install --no-deps neural-tangents==0\.6\.5"):
        di.neural_tangents()
