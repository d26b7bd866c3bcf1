import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Dense, Program, Repeat, Residual, Sequential, Shape
from deepinit.core.layers import layer as base
from deepinit.core.layers.layer import Table


@pytest.fixture
def route(monkeypatch):
    """A route with rules for Dense and Residual, until the test ends."""
    di.coverage()  # the package's own rules register once, before the copy
    monkeypatch.setattr(base, "_TABLES", dict(base._TABLES))
    table = Table("by hand")
    table.rule(Dense, Residual)(None)
    return table


def cells(covered, route):
    column = covered.routes.index(route)
    return {kind: row[column] for kind, row in covered.kinds.items()}


def test_coverage_lists_layers_by_routes(route):
    covered = di.coverage(di.zoo.gpt2())
    assert not {"shapes", "parameters"} & set(covered.routes)
    assert cells(covered, "by hand") == {
        "Embed": "expanded",
        "Positions": "-",
        "Residual": "rule",
        "LayerNorm": "-",
        "Attention": "-",
        "Dense": "rule",
        "Activation": "-",
    }
    assert ("LayerNorm", "by hand") in covered.missing
    assert ("Embed", "by hand") not in covered.missing
    header, _, *lines = str(covered).splitlines()
    assert "by hand" in header
    assert [line.split()[0] for line in lines] == list(covered.kinds)


def test_expansions_count_when_all_their_parts_have_rules(route):
    from deepinit.core.layers import AttentionMix

    route.rule(AttentionMix)(None)
    covered = di.coverage(di.zoo.vit())
    assert cells(covered, "by hand")["Attention"] == "expanded"
    assert cells(covered, "by hand")["Conv"] == "-"


def test_coverage_of_every_kind_lists_subclasses_by_their_base(route):
    covered = cells(di.coverage(), "by hand")
    assert covered["MeanDense"] == "rule"
    assert covered["Tied"] == "-"
    assert not {"Sequential", "Block", "Repeat", "AttentionMix"} & set(covered)


def test_named_architectures_are_covered_at_inputs(route):
    class Named:
        def layers(self, shape):
            body = Repeat(Residual(Sequential(Dense(3))), 2)
            return Program(shape, None, body, Dense(1), 0, 1, 2)

    with pytest.raises(SpecError, match="Named without inputs"):
        di.coverage(Named())
    for inputs in (di.inputs.pair(0.1, 3), Shape((), 3)):
        assert cells(di.coverage(Named(), inputs), "by hand") == {
            "Residual": "rule",
            "Dense": "rule",
        }
