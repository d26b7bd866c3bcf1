"""Two-layer networks trained from tiny weights, in NumPy."""

import numpy as np
from scipy.integrate import solve_ivp

SIGMAS = {  # sigma and its derivative
    "tanh": (np.tanh, lambda s: 1.0 / np.cosh(s) ** 2),
    "x tanh": (lambda s: s * np.tanh(s), lambda s: np.tanh(s) + s / np.cosh(s) ** 2),
    "x^2 tanh": (
        lambda s: s * s * np.tanh(s),
        lambda s: 2.0 * s * np.tanh(s) + s * s / np.cosh(s) ** 2,
    ),
    "sigmoid": (lambda s: 1.0 / (1.0 + np.exp(-s)), lambda s: 1.0 / (2.0 + 2.0 * np.cosh(s))),
    "sigmoid - 1": (lambda s: -1.0 / (1.0 + np.exp(s)), lambda s: 1.0 / (2.0 + 2.0 * np.cosh(s))),
    "cos": (np.cos, lambda s: -np.sin(s)),
    "relu": (lambda s: np.maximum(s, 0.0), lambda s: 1.0 * (s > 0.0)),
}


def paper_data(d, seed, n=80, frequency=5.0):
    x = np.random.default_rng(seed).uniform(-4.0, 2.0, (n, d))
    return x, 3.5 * np.sin(frequency * x + 1.0).sum(axis=1)


def regression():
    """Twenty points of a plane and a linear target with noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 2))
    return x, x[:, 0] - 0.5 * x[:, 1] + 0.3 + 0.5 * rng.standard_normal(20)


def gradients(sigma, a, w, z, y):
    """Of the loss 1/(2n) sum (f - y)^2, and the loss itself."""
    value, slope = SIGMAS[sigma]
    s = w @ z.T
    error = a @ value(s) - y
    n = len(y)
    return value(s) @ error / n, (slope(s) * error * a[:, None]) @ z / n, 0.5 * np.mean(error**2)


def gradient_flow(sigma, a, w, z, y, time, stop_at=None):
    """Weights and time at the end of gradient flow, or when the loss has dropped by stop_at."""
    m, dimension = w.shape

    def velocity(_, theta):
        da, dw, _ = gradients(sigma, theta[:m], theta[m:].reshape(m, dimension), z, y)
        return -np.concatenate([da, dw.ravel()])

    start = np.concatenate([a, w.ravel()])
    events = None
    if stop_at is not None:
        initial = gradients(sigma, a, w, z, y)[2]

        def events(_, theta):
            return (
                gradients(sigma, theta[:m], theta[m:].reshape(m, dimension), z, y)[2]
                - (1.0 - stop_at) * initial
            )

        events.terminal = True
    path = solve_ivp(
        velocity, (0.0, time), start, rtol=1e-8, atol=1e-14, events=events, method="DOP853"
    )
    theta = path.y[:, -1]
    return theta[:m], theta[m:].reshape(m, dimension), path.t[-1]


def neuron_flow(sigma, a, w, z, y, loss_drop, rate=0.02, most_steps=3000):
    """Gradient flow with a clock per neuron: at leading order the true orbits."""
    initial = gradients(sigma, a, w, z, y)[2]
    for _ in range(most_steps):
        da, dw, loss = gradients(sigma, a, w, z, y)
        if loss < (1.0 - loss_drop) * initial:
            break
        speed = np.hypot(da, np.linalg.norm(dw, axis=1))
        step = (
            rate
            * np.hypot(a, np.linalg.norm(w, axis=1))
            * np.divide(1.0, speed, where=speed > 0, out=0 * speed)
        )
        a, w = a - step * da, w - step[:, None] * dw
    return a, w


def adam(sigma, a, w, z, y, steps, learning_rate):
    """Adam with beta = (0.9, 0.999) and no epsilon."""
    theta, split = np.concatenate([a, w.ravel()]), len(a)
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, steps + 1):
        da, dw, _ = gradients(sigma, theta[:split], theta[split:].reshape(w.shape), z, y)
        slope = np.concatenate([da, dw.ravel()])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        moment = np.sqrt(second / (1.0 - 0.999**step))
        theta = theta - learning_rate * first / (1.0 - 0.9**step) / np.maximum(moment, 1e-300)
    return theta[:split], theta[split:].reshape(w.shape)


def initial(m, dimension, std, seed):
    rng = np.random.default_rng(seed)
    return std * rng.standard_normal(m), std * rng.standard_normal((m, dimension))


def with_one(x):
    return np.column_stack([x, np.ones(len(x))])


def nearest(w, directions):
    """Cosine with the nearest of the directions, and which one that is."""
    cosines = w / np.linalg.norm(w, axis=1, keepdims=True) @ np.asarray(directions).T
    return cosines.max(axis=1), cosines.argmax(axis=1)
