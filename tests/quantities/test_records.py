"""What public records print, and what they refuse."""

import numpy as np
import pytest

import deepinit as di

Q = di.quantities
ROWS = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 1.0]])


def test_records_print_in_one_line():
    records = [
        *Q.BUILTIN.values(),
        *(theory for quantity in Q.BUILTIN.values() for theory in quantity.theories),
        di.inputs.points(np.zeros((300, 200)) + 1.0),
        di.inputs.tokens(5, 2),
        di.inputs.arrays(np.zeros((3, 100))),
        di.frames.at(np.eye(3)[0], np.eye(3)[1]),
        di.curves.sampled(di.curves.circle()),
        di.network(di.MLP((4,))),
        di.covariance(di.simulate(di.MLP((4,)), Q.nngp, ROWS, num_seeds=9, keep_samples=True)),
    ]
    for record in records:
        assert len(repr(record)) < 250
        assert not any(mark in repr(record) for mark in ("\n", "0x"))


def test_the_repr_of_a_law_has_all_its_digits():
    laws = [di.normal(2.0000001), di.sparse(2.0, "absolute", density=0.3), di.constant(-0.25)]
    names = {"normal": di.normal, "sparse": di.sparse, "constant": di.constant}
    for law in laws:
        assert eval(repr(law), names) == law
    assert repr(laws[0]) != repr(di.normal(2.0))


def test_numbers_of_inputs_are_named():
    assert repr(di.inputs.points(ROWS)) == "Inputs(points; 2 points of dimension 3)"
    assert "1 point and 1 partner" in repr(di.inputs.pair(0.1))
    assert "5 x 10 one-hot tokens" in repr(di.inputs.tokens(5, 2))


def test_kurtosis_of_a_zero_input_is_an_event():
    inputs = np.array([[0.0, 0.0], [1.0, 0.0]])
    found = di.simulate(di.MLP((16,)), Q.output_kurtosis, inputs, num_seeds=50)
    assert np.isnan(found.mean[0, 0])
    assert found.mean[0, 1] > 0
    assert found.events["dead"].tolist() == [[50, 0]]
    assert "50 networks, up to 50 without a value" in repr(found)
    biased = di.MLP((16,), "tanh", bias_law=di.normal(0.1, "absolute"))
    found = di.simulate(biased, Q.output_kurtosis, inputs, num_seeds=50)
    assert np.all(found.mean > 0)
    assert not found.num_excluded.any()


def test_remedies_of_refusals_are_functions_that_take_these_arguments():
    with pytest.raises(ValueError, match="from_arrays") as refusal:
        di.simulate(di.MLP((4,)), Q.log_sin2_angle, ROWS, num_seeds=2)
    assert "di.inputs.from_arrays(first, second)" in str(refusal.value)
    di.simulate(di.MLP((4,)), Q.log_sin2_angle, di.inputs.from_arrays(*ROWS[:, None]), num_seeds=2)


def test_functions_and_modules_at_the_wrong_door():
    linen = pytest.importorskip("flax.linen")
    with pytest.raises(ValueError, match=r"Take di\.from_linen"):
        di.from_nnx(linen.Dense(3))
    with pytest.raises(ValueError, match="spec of type function"):
        di.network(lambda x: x)


def test_rows_are_inputs_of_advice():
    net, inputs = di.MLP((64,) * 4), di.inputs.points(ROWS)
    assert di.max_depth(net, ROWS) == di.max_depth(net, inputs)
    assert di.precision_limits(net, ROWS) == di.precision_limits(net, inputs)
    assert di.calibrate(net, ROWS) == di.calibrate(net, inputs) != di.calibrate(net, ROWS[:, :2])
    scheme = di.init.keras()
    assert di.init.apply(net, scheme, ROWS) == di.init.apply(net, scheme, inputs)
