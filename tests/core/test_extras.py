"""Missing optional packages."""

import importlib

import pytest

from deepinit.core.errors import ResourceError
from deepinit.core.extras import missing_extra, optional


def test_a_missing_package_is_refused_with_its_install_line(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="flax")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ResourceError, match=r"no flax.*pip install 'deepinit\[flax\]'"):
        optional("flax.linen")


def test_an_installed_package_is_imported():
    assert optional("flax.linen").Module


def test_other_missing_modules_are_not_ours():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        optional("no_such_package")
    assert missing_extra(ModuleNotFoundError(name=None)) is None
