"""Text, HTML and remarks of a plan."""

import re

import jax
import jax.numpy as jnp
import pytest
import xarray
from explained_models import KEY, N, X, linen, normal
from flax import linen as nn

import deepinit as di
from deepinit.deferral.report import Plan, Row
from deepinit.deferral.report_text import count, shortened


@pytest.mark.parametrize(
    ("kernel", "law", "measured"),
    [
        (nn.initializers.lecun_normal(), "truncated normal", "+0.0018"),
        (nn.initializers.he_uniform(), "uniform", "+0.0053"),
    ],
)
def test_stock_initializers_have_two_ways_out(kernel, law, measured):
    plan = di.explain(linen(kernel))(KEY, X)
    lines = str(plan).splitlines()
    assert lines[0].startswith("deferred 0 of 2 arrays, 0 % of 4128 weights")
    assert lines[1] == "nothing is deferred: values are those of the function itself"
    assert lines[2] == f"2 arrays explicit: {law} law. Two ways out:"
    assert "normal(...)" in lines[3]
    assert "gaussianize=True: defers 2 more; relative errors of order 1/width" in lines[4]
    assert any(f"{law}: mean log-norm" in line and measured in line for line in lines[5:8])
    other = di.explain(linen(kernel), gaussianize=True)(KEY, X)
    assert len(other.of_kind("deferred")) == sum(row.can_be_gaussian for row in plan.rows) == 2
    assert "surrogate law" in str(other)


def test_arrays_that_stay_explicit_as_gaussian_ones_are_not_promised():
    def f(key, x):
        first, second = jax.random.split(key)
        w = jax.random.uniform(second, (N, N))
        return x @ jax.random.uniform(first, (N, N)), jnp.sort(w) @ w

    plan = di.explain(f)(KEY, X)
    found = {row.why: row.can_be_gaussian for row in plan.rows}
    assert found == {"uniform law": True, "uniform law; no rule for sort": False}
    assert "defers 1 more" in str(plan)


def test_advice_of_fewer_rows():
    def f(key, x):
        return jnp.tanh(x @ normal(key, N, N))

    x = jnp.tile(jnp.eye(N), (2, 1))[: N // 2]
    plan = di.explain(f)(KEY, x)
    (row,) = plan.rows
    assert row.is_costly
    assert (row.rows_right, row.rows_left, row.drawn) == (N // 2, 0, N * N)
    assert "1 array explicit: up to 16 rows act on them" in str(plan)
    assert "with fewer rows (inputs, positions, examples)" in str(plan)
    assert di.explain(f)(KEY, x[:4]).share == 1


def test_text_is_at_most_100_columns_wide():
    name = "/".join(f"module_{number}" for number in range(20))
    why = "multiplied by an array " * 5
    first = Row(name, (4096, 4096), 96, "truncated_normal", 8, 8, 9, 9, "deferred")
    deferred = [first._replace(name=f"{name}/{i}") for i in range(50)]
    second = first._replace(kind="explicit", why=why, can_be_gaussian=True)
    explicit = [second, second._replace(law="uniform", is_costly=True, weights=2)]
    noted = first._replace(note="rounded " * 20)
    for plan in (Plan((*deferred, *explicit, noted), random_bits=3), Plan((), failure=why * 3)):
        lines = str(plan).splitlines()
        assert max(map(len, lines)) <= 100
    lines = str(Plan((*deferred, *explicit))).splitlines()
    assert any(re.match(r"module_0/module.*\.\.", line) for line in lines)
    assert "... and 10 more: plan.to_dataset()" in lines


def test_html_and_dataset(tmp_path):
    def f(key, x):
        with jax.named_scope("<first>"):
            return x @ normal(key, N, N), jnp.sort(normal(jax.random.fold_in(key, 1), N, N))

    plan = di.explain(f)(KEY, X)
    page = plan._repr_html_()
    assert "&lt;first&gt;" in page
    assert "<first>" not in page
    assert page.count("<tr>") == 1 + len(plan.rows)
    plan.to_dataset().to_netcdf(tmp_path / "plan.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "plan.nc") as data:
        assert list(data["array"].values) == [row.name for row in plan.rows]
        assert list(data["drawn"].values) == [2 * N, N * N]
        assert list(data["kind"].values) == ["deferred", "explicit"]
        assert data.attrs["share"] == 0.5


def test_numbers_and_names_are_short():
    shown = [count(n) for n in (0, 9999, 10_000, 123_456, 999_999, 173_946_175_488)]
    assert shown == ["0", "9999", "10e3", "123e3", "1000e3", "174e9"]
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijkl", 10) == "abcd..ijkl"
