"""Runs with control variates: stopped or shared out they end with the same bytes."""

import numpy as np
import pytest
from paths import SUPPORT
from relu_controls import exact_mean, relu_control
from statistical import assert_value

import deepinit as di
from deepinit import store
from deepinit.cli import main
from deepinit.core.errors import DamagedError, SpecError
from deepinit.ensembles import controlled, statistics
from deepinit.runs import inspect, measure
from deepinit.runs.experiment import Case

EXPERIMENT = [str(SUPPORT / "controlled_experiment.py"), "--block-size", "40"]  # 3 blocks a case
SPEC, POINT = di.MLP((128,) * 2), di.inputs.points([[1.0, -0.5, 2.0]])


@pytest.fixture(autouse=True)
def relu(monkeypatch):
    """The fake rule."""
    monkeypatch.setattr("deepinit.quantities.controls.control_of", relu_control)


def deepinit(*arguments):
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code


def files(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for pattern in ("blocks/**/*.npz", "result.nc")
        for file in folder.glob(pattern)
    }


def case(**changes):
    return Case("kernel", SPEC, di.quantities.nngp, POINT, 90, theories=(), **changes)


def test_the_identity_has_the_control_only_where_there_is_one():
    plain = case().identity()
    assert "control" not in plain
    assert case(control="none").identity() == plain
    for control in ("theory", "auto"):
        assert case(control=control).identity() == {**plain, "control": control}


def test_cases_refuse_what_simulate_refuses():
    with pytest.raises(SpecError, match=r"control='yes'. Allowed: none, theory, auto"):
        case(control="yes")
    spec = di.MLP((4,), output_width=1)
    with pytest.raises(SpecError, match="of the kind Backward"):
        Case("ntk", spec, di.quantities.bias_ntk, POINT, 9, theories=(), control="theory")


def test_a_network_without_a_rule_is_refused_before_anything_is_simulated(monkeypatch):
    tanh = Case(
        "tanh", di.MLP((8,), "tanh"), di.quantities.nngp, POINT, 9, theories=(), control="theory"
    )
    monkeypatch.setattr(measure, "_measure", None)
    measured = measure.measure_all((case(), tanh), None, measure.Options(), None, lambda *_: None)
    with pytest.raises(SpecError, match="Got nngp of tanh"):
        next(measured)


def block_of(control):
    """A run's block of 4 networks, and its plain and controlled parts."""
    columns = np.random.default_rng(0).gamma(2.0, size=(4, 2, 1))
    rule = relu_control(SPEC, di.quantities.nngp, POINT)
    plain = statistics.statistics(columns, np.zeros(columns.shape, int), 4)
    if not control:
        return plain
    mean, square, _ = rule.of_block(columns)
    events = np.zeros(columns.shape, int)
    return controlled.controlled(plain, columns, events, mean, square, rule.centre, mean)


@pytest.mark.parametrize(("written", "asked"), [(True, "none"), (False, "theory")])
def test_blocks_of_the_other_kind_are_damaged(tmp_path, written, asked):
    with store.open_run(tmp_path, {"experiment": "x"}) as run:
        name = inspect.block_name("kernel", 0, 4)
        store.write_block(run, name, controlled.to_arrays(block_of(written)))
        plan = type("Plan", (), {"seeds": lambda self, block: (0, 4)})()
        with pytest.raises(DamagedError, match="not those of a block of its kind"):
            measure.read_part(run, case(control=asked), plan, 0)
        fitting = measure.read_part(run, case(control="auto"), plan, 0)[0]
        assert isinstance(fitting, controlled.Controlled) == written


@pytest.mark.parametrize(
    "name", ["centre", "mean.mean", "square.events", "mean.moment4", "fit.mean", "fit.products"]
)
def test_a_block_with_half_a_control_is_damaged(tmp_path, name):
    arrays, name = controlled.to_arrays(block_of(True)), f"control.{name}"
    with store.open_run(tmp_path, {"experiment": "x"}) as run:
        store.write_block(run, "whole", arrays)
        assert isinstance(inspect.read_statistics(run, "whole")[0], controlled.Controlled)
        for number, array in enumerate((None, arrays[name][:1])):
            changed = {
                key: each for key, each in {**arrays, name: array}.items() if each is not None
            }
            store.write_block(run, f"changed{number}", changed)
            with pytest.raises(DamagedError):
                inspect.read_statistics(run, f"changed{number}")


def test_blocks_of_older_runs_have_no_fit(tmp_path):
    arrays = controlled.to_arrays(block_of(True))
    older = {key: each for key, each in arrays.items() if not key.startswith("control.fit")}
    with store.open_run(tmp_path, {"experiment": "x"}) as run:
        store.write_block(run, "older", older)
        found, _ = inspect.read_statistics(run, "older")
    assert found.fit is None
    assert isinstance(controlled.merge(found, block_of(True)), controlled.Controlled)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepinit.quantities.controls.control_of", relu_control)
        assert deepinit("run", *EXPERIMENT, "--out", folder) == 0
    return folder


@pytest.mark.slow
def test_killed_and_continued_it_ends_with_the_same_bytes(whole, tmp_path, monkeypatch, capsys):
    folder, write_block, written = tmp_path / "killed", store.write_block, []

    def dies(run, name, arrays):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        write_block(run, name, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_block", dies)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            main(["run", *EXPERIMENT, "--out", str(folder)])
    assert len(list(folder.glob("blocks/kernel/0*.npz"))) == 2
    capsys.readouterr()
    assert deepinit("show", folder) == 0
    assert "80 of 120" in capsys.readouterr().out
    assert deepinit("run", *EXPERIMENT, "--out", folder) == 0
    assert files(folder) == files(whole)
    assert store.verify(folder).ok


@pytest.mark.slow
def test_shards_merge_to_the_whole_and_are_shown(whole, tmp_path, capsys):
    folder = tmp_path / "shared"
    for shard in ("0/2", "1/2"):
        assert deepinit("run", *EXPERIMENT, "--out", folder, "--shard", shard) == 0
    capsys.readouterr()
    assert deepinit("merge", *EXPERIMENT, "--out", folder) == 0
    printed = capsys.readouterr().out
    assert "variance saved" in printed
    assert "100x" in printed
    assert files(folder) == files(whole)
    assert "variance saved" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_the_result_has_controlled_and_plain_numbers(whole):
    data = store.read_result(whole)
    assert data["control"].values.tolist() == ["theory", "none"]
    kernel, plain = (data.sel(case=name) for name in ("kernel", "plain"))
    np.testing.assert_allclose(kernel["variance_saved"], 100.0, rtol=0.01)
    np.testing.assert_array_equal(plain["variance_saved"], 1.0)
    for name in ("mean", "standard_error"):
        np.testing.assert_array_equal(kernel[f"plain_{name}"], plain[name])
        np.testing.assert_array_equal(plain[f"plain_{name}"], plain[name])
    mean = exact_mean(SPEC, POINT)
    assert_value(kernel["mean"], kernel["standard_error"], mean, rejects=1.1 * mean)


@pytest.mark.slow
def test_auto_is_the_same_where_there_is_a_rule_and_plain_elsewhere(
    whole, tmp_path, monkeypatch, capsys
):
    def refuses(*_):
        raise SpecError("tanh", "relu", "")

    auto, refused = tmp_path / "auto", tmp_path / "refused"
    assert deepinit("run", *EXPERIMENT, "--config.control", "auto", "--out", auto) == 0
    here, there = store.read_result(auto), store.read_result(whole)
    np.testing.assert_array_equal(here["mean"], there["mean"])
    monkeypatch.setattr("deepinit.quantities.controls.control_of", refuses)
    capsys.readouterr()
    assert deepinit("run", *EXPERIMENT, "--config.control", "auto", "--out", refused) == 0
    assert "variance saved" not in capsys.readouterr().out
    data = store.read_result(refused)
    assert "variance_saved" not in data
    assert data["control"].values[0].startswith("none: Got tanh. Allowed: relu.")
    np.testing.assert_array_equal(data["mean"][0], data["mean"][1])
