"""Networks of the zoo in small: norms, gradients and tangent kernels of real draws."""

import math

import numpy as np
import pytest
import scipy.special
from statistical import assert_mean

import deepinit as di

TEXT = di.inputs.tokens(5)
IMAGES = di.inputs.arranged(np.random.default_rng(0).normal(size=(4, 32, 32, 3)))

# name -> network, inputs, neurons before the readout, variance of its weights, their sites
NETWORKS = {
    "gpt2": (di.zoo.gpt2(width=16, depth=2, heads=2), TEXT, 16, 4e-4, 2 + 2 * 2 + 1),
    "llama": (di.zoo.llama(16, 2, 2, 24), TEXT, 16, 4e-4, 1 + 2 * 2 + 1),
    "resnet18": (di.zoo.resnet18(2), IMAGES, 16, 1 / 16, 4 + 4 * 2 * 2 + 1),
    "vit": (di.zoo.vit(16, 2, 2, 8), IMAGES, 16, 4e-4, 2 + 2 * 2 + 2),
}


@pytest.mark.slow
@pytest.mark.exhaustive_cases("resnet18")
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_after_the_body_is_the_readouts_row(name):
    network, inputs, width, variance, num_sites = NETWORKS[name]
    gradient = di.quantities.log_gradient_norm
    found = di.simulate(network, gradient, inputs, num_seeds=100, key=1, keep_samples=True)
    assert found.mean.shape == (num_sites, len(inputs.points))
    assert not found.num_excluded.any()
    assert np.isfinite(found.mean).all()
    mean = 0.5 * (math.log(2 * variance) + scipy.special.digamma(width / 2))
    half = 0.5 * scipy.special.polygamma(1, width / 2) ** 0.5
    rival = mean - 0.5 * math.log(2)  # half the variance
    assert_mean(found.samples[:, -1], mean, rejects=rival, standard_error=half / 10)
    assert np.all(found.mean[0] != found.mean[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_last_norm_gives_tokens_of_mean_square_one(name):
    network, inputs, width, _, num_sites = NETWORKS[name]
    found = di.simulate(network, di.quantities.log_norm, inputs, num_seeds=8)
    assert found.mean.shape == (num_sites, 1)
    # |x|^2 = tokens x width, over tokens; eps of the norm takes some 1 %
    assert found.mean[-1, 0] == pytest.approx(0.5 * math.log(width), abs=0.03)
    assert found.mean[0, 0] == pytest.approx(0.5 * math.log(width * 4e-4), abs=0.15)


@pytest.mark.slow
@pytest.mark.exhaustive_cases("resnet18")
@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_images_pass_every_site(name):
    network, inputs, _, _, num_sites = NETWORKS[name]
    found = di.simulate(network, di.quantities.log_norm, inputs, num_seeds=8)
    assert found.mean.shape == (num_sites, 4)
    assert np.isfinite(found.mean).all()
    assert not found.num_excluded.any()


@pytest.mark.slow
@pytest.mark.exhaustive_cases("resnet18")
@pytest.mark.parametrize("name", NETWORKS)
def test_tangent_kernels_are_positive(name):
    network, inputs, _, _, _ = NETWORKS[name]
    found = di.simulate(network, di.quantities.ntk, inputs, num_seeds=8, keep_samples=True)
    assert np.isfinite(found.samples).all()
    first, second = np.triu_indices(len(inputs.points))
    kernels = np.zeros((8, len(inputs.points), len(inputs.points)))
    kernels[:, first, second] = kernels[:, second, first] = found.samples[:, 0]
    eigenvalues = np.linalg.eigvalsh(kernels)
    assert (eigenvalues[:, 0] > -1e-5 * eigenvalues[:, -1]).all()
    assert (kernels.diagonal(axis1=1, axis2=2) > 0).all()
