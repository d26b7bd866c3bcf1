"""line_count: orientations with u and -u as one."""

import numpy as np
import pytest

import deepinit as di
from deepinit.observables.orientation_counts import count_orientations

Q = di.quantities


@pytest.mark.slow
def test_opposite_vectors_are_one_line():
    rng = np.random.default_rng(0)
    directions = np.array(
        [[1.0, 0.2, 0.0], [-1.0, -0.2, 0.0], [0.0, 1.0, 1.0]]
    )  # two lines, three orientations
    vectors = np.repeat(directions, 20, axis=0) * rng.uniform(
        0.5, 2.0, (60, 1)
    ) + 0.01 * rng.normal(size=(60, 3))
    orientations, lines = (count_orientations(vectors, lines=lines) for lines in (False, True))
    assert (int(orientations.num_orientations), int(lines.num_orientations)) == (3, 2)
    assert orientations.condensed
    assert lines.condensed
    assert np.bincount(np.asarray(lines.members)).tolist() == [40, 20]


@pytest.mark.exhaustive
def test_neurons_of_multiplicity_1_condense_on_one_line():
    """tanh turns to v and -v: 2 orientations, 1 line."""
    x = np.array([[-1.0], [-0.5], [0.2], [0.6], [1.0]])
    data = di.targets.examples(x, np.sin(2.0 * x) + 0.3)
    v = np.mean((np.sin(2.0 * x) + 0.3) * np.column_stack([x, np.ones(5)]), axis=0)
    run = di.TrainingConfig(data, record_steps=(0, 160), rate=0.05 / np.linalg.norm(v))
    std = 1e-4
    law = di.normal(std**2, "absolute")
    net = di.MLP((40,), di.tanh, law, law, output_width=1, output_law=law)
    for quantity, expected in ((Q.orientation_count, 2.0), (Q.line_count, 1.0)):
        sim = di.simulate(net, quantity, run, num_seeds=4)
        assert sim.mean[-1, 0] == expected
        assert di.predict(net, quantity, run).mean[-1, 0] == expected
        assert sim.events["not_condensed"][0, 0] == 4


def test_two_lines_of_multiplicity_2():
    net = di.MLP((40,), di.x_tanh, output_width=1)
    x = np.array([[1.0, 0.5], [-0.3, 1.0], [0.7, -1.2]])
    run = di.TrainingConfig(
        di.targets.examples(x, np.array([[1.0], [-0.5], [0.8]])),
        record_steps=(9,),
        mode="adam",
        rate=0.1,
    )
    orientations = di.predict(net, Q.orientation_count, run).mean[-1, 0]
    assert di.predict(net, Q.line_count, run).mean[-1, 0] == pytest.approx(orientations / 2)
