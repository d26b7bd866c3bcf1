import math

import numpy as np
import pytest

from deepinit.theory.angles import THEORIES, density_grid, log_sin2_propagation


@pytest.mark.parametrize("form", [*THEORIES, "approximation"])
def test_mass_is_conserved_and_densities_are_densities(form):
    walk = log_sin2_propagation(1.2, (32,) * 20 + (8,) * 5 + (300,) * 20, form)
    np.testing.assert_allclose(np.trapezoid(walk.density, walk.grid), 1.0, rtol=0, atol=1e-12)
    assert walk.density.min() >= 0.0
    assert np.all(np.diff(walk.grid) > 0)
    assert walk.grid[-1] <= 0.0
    np.testing.assert_allclose(
        np.trapezoid(walk.density * walk.grid, walk.grid)[1:], walk.mean[1:], rtol=1e-12
    )


@pytest.mark.slow
def test_finer_grids_change_nothing(monkeypatch):
    cases = [
        (math.pi / 2, (64,) * 6, "second_order"),
        (0.5, (16,) * 12, "tapered"),
        (2.5, (8, 64, 512), "paper"),
    ]
    coarse = [log_sin2_propagation(*case) for case in cases]
    monkeypatch.setattr(density_grid, "_STEP", 0.2)
    monkeypatch.setattr(density_grid, "_LEAST_POINTS", 1500)
    for case, walk in zip(cases, coarse, strict=True):
        fine = log_sin2_propagation(*case)
        assert len(fine.grid) > 1.4 * len(walk.grid)
        sd = np.sqrt(fine.variance)
        np.testing.assert_allclose(walk.mean / sd, fine.mean / sd, rtol=0, atol=1e-4)
        np.testing.assert_allclose(np.sqrt(walk.variance) / sd, 1.0, rtol=0, atol=1e-4)


def test_steps_on_the_grid_have_the_exact_moments():
    table = -(np.linspace(2.0, 0.0, 400) ** 2)
    grid = density_grid.spaced(table, 0.1 + 0.2 * np.sqrt(-table))
    means = np.array([-2.0, -1.0, -0.3, -0.05, -0.5, -0.01])
    variances = np.array([0.1, 0.05, 0.04, 0.09, 0.2, 0.3]) ** 1.0
    columns = density_grid.kernel(grid, means, variances).toarray()
    z = np.linspace(-9, 9, 200_001)
    weights = np.exp(-0.5 * z * z)
    weights /= weights.sum()
    for column, mean, variance in zip(columns.T, means, variances, strict=True):
        clipped = np.minimum(mean + math.sqrt(variance) * z, 0.0)
        assert column.sum() == pytest.approx(1.0, abs=1e-14)
        assert column @ grid == pytest.approx(weights @ clipped, abs=1e-7)
        assert column @ grid**2 == pytest.approx(weights @ clipped**2, abs=1e-7)
        assert column.min() >= 0.0


def test_steps_shorter_than_a_cell_keep_mass_and_mean():
    grid = np.linspace(-1.0, 0.0, 201)
    means, variances = (
        np.array([-0.5, -0.5012, -0.4986, -1e-4, -0.9999]),
        np.array([0.0, 1e-6, 4e-6, 1e-12, 0.0]),
    )
    columns = density_grid.kernel(grid, means, variances).toarray()
    np.testing.assert_allclose(columns.sum(axis=0), 1.0, atol=1e-14)
    np.testing.assert_allclose(columns.T @ grid, means, atol=1e-12)
    spread = columns.T @ grid**2 - (columns.T @ grid) ** 2
    assert np.all(spread <= variances + 0.25 * 0.005**2 + 1e-15)
    assert np.all(columns >= 0.0)
