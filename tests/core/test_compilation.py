"""Options of the compiler."""

import jax
import pytest

from deepinit.core import compilation


@pytest.fixture
def wide_vectors():
    compilation.wide_vectors.cache_clear()
    yield compilation.wide_vectors
    compilation.wide_vectors.cache_clear()


def test_this_version_of_jax_knows_the_option(wide_vectors):
    options = wide_vectors()
    assert list(options) == ["xla_cpu_prefer_vector_width"]
    assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def test_an_option_of_the_user_is_left_alone(wide_vectors, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256")
    assert wide_vectors() == {}


def test_an_unknown_option_is_left_out(wide_vectors, monkeypatch):
    monkeypatch.setattr(compilation, "_WIDE", "xla_cpu_no_such_option")
    assert wide_vectors() == {}
