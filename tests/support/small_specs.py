"""Small specs with one field given."""

import numpy as np

import deepinit as di


def mlp(**fields):
    return di.MLP(
        **{"widths": (3, 3), "activation": di.tanh, "weight_law": di.normal(1.0), **fields}
    )


def shallow(**fields):
    return di.ResNet(**{"width": 3, "depth": 3, "block": "shallow", **fields})


def conv(**fields):
    return di.ConvResNet(**{"image_shape": (3, 3), "channels": 3, "depth": 3, **fields})


MATRIX = 3 * np.eye(3)
