"""Names of development versions: one sentence with the present name."""

import importlib

import pytest

import deepinit as di
from deepinit.former_names import FORMER_NAMES


@pytest.mark.parametrize("name", ["Training", "experiment", "report", "cores"])
def test_a_former_name_says_its_present_one(name):
    with pytest.raises(AttributeError, match=f"deepinit.{name} is now called deepinit"):
        getattr(di, name)


def test_a_former_module_of_theory_says_its_present_one():
    with pytest.raises(AttributeError, match=r"is now called deepinit\.theory\.angles\.kernel_pro"):
        di.theory.kernel_walk  # noqa: B018


def test_other_names_are_unknown():
    with pytest.raises(AttributeError, match="nothing"):
        di.nothing  # noqa: B018


@pytest.mark.parametrize("present", sorted({*FORMER_NAMES.values()}))
def test_present_names_exist(present):
    module, _, name = present.rpartition(".")
    assert name == "TrainingConfig" or importlib.import_module(present)
    assert name != "TrainingConfig" or hasattr(importlib.import_module(module), name)
