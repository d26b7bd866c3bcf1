"""Delta method for the angle and norms of two post-activation vectors.

a_i = phi(u_i), b_i = phi(v_i), n neurons, (u_i, v_i) Gaussian; orthonormal alpha = a / |a|, omega:
b / |b| = cos(t) alpha + sin(t) omega, t the angle at infinite width. (x, y, z): deviations of the
sample means of (alpha^2, alpha omega, omega^2) from (1, 0, 1); c = cos t, s = sin t:

    q = z - x,    h = c q - 2 s y,    b = z - c h  (deviation of b^2 / E b^2),
    ln(|a|^2 / n) = ln E a^2 + ln(1 + x)                  ln(|b|^2 / n) = ln E b^2 + ln(1 + b)
    ln sin^2      = ln s^2 + ln((1 + x)(1 + z) - y^2) - ln(1 + x) - ln(1 + b)
    ln tan^2(half the angle) = ln tan^2(t / 2) + h + O(deviations^2)

No term cancels as t -> 0. Cumulants of sample means are K_ij / n and K_ijk / n^2; fourth order
gives mean and variance to n^-2. eta = ln tan^2(half the angle) is monotone and smooth on (0, pi):
d(ln sin^2)/d eta = cos, second derivative -sin^2 / 2, so d1 = c^2 K_hh, c1 = c eta1 - s^2 K_hh / 4.
"""

from typing import Any, NamedTuple

from deepinit.core.array_api import array_namespace
from deepinit.core.typing import Float, Like


class PairFrame(NamedTuple):
    """Two post-activations of one neuron in the orthonormal frame, on nodes.

    alpha, omega: orthonormal under the weights; radial4, radial6: factors of sums of degree 4 and
    6, 1 or moments of an integrated radius; cosine, sine, log_sine2: of the infinite-width angle,
    accurate at small angles; log_norm2_a, log_norm2_b: ln E a^2 and ln E b^2.
    """

    alpha: Float[Like, "*shape nodes"]
    omega: Float[Like, "*shape nodes"]
    weights: Float[Like, "*shape nodes"]
    radial4: float
    radial6: float
    cosine: Float[Like, "*shape"]
    sine: Float[Like, "*shape"]
    log_norm2_a: Float[Like, "*shape"]
    log_norm2_b: Float[Like, "*shape"]
    log_sine2: Float[Like, "*shape"]


class _Form(NamedTuple):
    """Quadratic form in (alpha, omega), and its mean."""

    values: Any
    mean: float


class _Forms(NamedTuple):
    x: _Form
    y: _Form
    z: _Form
    q: _Form
    h: _Form
    b: _Form


class AngleExpansion(NamedTuple):
    """ln sin^2: mean = limit + c1 / n + c2 / n^2, variance = d1 / n + d2 / n^2."""

    c1: Float[Like, "*shape"]
    d1: Float[Like, "*shape"]
    c2: Float[Like, "*shape"]
    d2: Float[Like, "*shape"]


class StateExpansion(NamedTuple):
    """(ln |a|^2/n, ln |b|^2/n, eta): mean limit + shift / n, covariance / n."""

    shift: Float[Like, "*shape 3"]
    covariance: Float[Like, "*shape 3 3"]


def angle_expansion(frame: PairFrame) -> AngleExpansion:
    """Mean and variance of ln sin^2 of the angle between a and b, to n^-2."""
    forms = _forms(frame)
    x, y, z, _, h, b = forms
    c = frame.cosine

    def second(p: _Form, q: _Form) -> Any:
        return _second(frame, p, q)

    def third(p: _Form, q: _Form, r: _Form) -> Any:
        return _third(frame, p, q, r)

    xx, yy, zz, bb, hh = second(x, x), second(y, y), second(z, z), second(b, b), second(h, h)
    xy, yz, xz, yb, zb = second(x, y), second(y, z), second(x, z), second(y, b), second(z, b)
    # f = p + (-z^2/2 - y^2 + b^2/2) + (z^3/3 + y^2 (x + z) - b^3/3)
    #   + (-z^4/4 - y^2 (x^2 + x z + z^2) - y^4/2 + b^4/4), with p = z - b = c h
    px, py, pz, pb = (c * second(h, form) for form in (x, y, z, b))
    c1, d1 = _eta_shift(frame, forms) * c - 0.25 * frame.sine**2 * hh, c * c * hh
    c2 = (
        (third(z, z, z) - third(b, b, b)) / 3
        + third(y, y, x)
        + third(y, y, z)
        - 0.75 * (zz * zz - bb * bb)
        - (yy * xx + 2 * xy * xy)
        - (yy * xz + 2 * xy * yz)
        - (yy * zz + 2 * yz * yz)
        - 1.5 * yy * yy
    )
    linear_quadratic = c * (third(h, b, b) - third(h, z, z) - 2 * third(h, y, y))
    quadratic = 0.5 * (zz * zz + bb * bb) + 2 * (yy * yy + yz * yz - yb * yb) - zb * zb
    linear_cubic = pz * (zz + yy) + px * yy + 2 * py * (xy + yz) - pb * bb
    return AngleExpansion(c1, d1, c2, linear_quadratic + quadratic + 2 * linear_cubic)


def state_expansion(frame: PairFrame) -> StateExpansion:
    """Mean and covariance of (ln |a|^2/n, ln |b|^2/n, eta) to order 1/n."""
    forms = _forms(frame)
    xp = array_namespace(frame.alpha)
    parts = (forms.x, forms.b, forms.h)
    rows = [xp.stack([_second(frame, p, q) for q in parts], axis=-1) for p in parts]
    covariance = xp.stack(rows, axis=-2)
    shift = xp.stack(
        [-0.5 * covariance[..., 0, 0], -0.5 * covariance[..., 1, 1], _eta_shift(frame, forms)],
        axis=-1,
    )
    return StateExpansion(shift, covariance)


def _forms(frame: PairFrame) -> _Forms:
    c, s = frame.cosine[..., None], frame.sine[..., None]
    x, y, z = frame.alpha**2, frame.alpha * frame.omega, frame.omega**2
    q = z - x
    h = c * q - 2 * s * y
    return _Forms(
        _Form(x, 1.0),
        _Form(y, 0.0),
        _Form(z, 1.0),
        _Form(q, 0.0),
        _Form(h, 0.0),
        _Form(z - c * h, 1.0),
    )


def _eta_shift(frame: PairFrame, forms: _Forms) -> Any:
    """1/n coefficient (c1 + s^2 K_hh / 4) / c of E eta, without division by c.

    c1 = -K_zz/2 - K_yy + K_bb/2, K_hh / 4 - K_yy = c (c K_qq / 4 - s K_qy - c K_yy).
    """
    _, y, z, q, h, _ = forms
    c, s = frame.cosine, frame.sine
    return (
        c * (0.25 * (_second(frame, h, h) + _second(frame, q, q)) - _second(frame, y, y))
        - s * _second(frame, q, y)
        - _second(frame, z, h)
    )


def _second(frame: PairFrame, p: _Form, q: _Form) -> Any:
    """Covariance of two forms of one neuron."""
    return frame.radial4 * (frame.weights * p.values * q.values).sum(-1) - p.mean * q.mean


def _third(frame: PairFrame, p: _Form, q: _Form, r: _Form) -> Any:
    """Third joint cumulant of one neuron's forms."""
    moment = frame.radial6 * (frame.weights * p.values * q.values * r.values).sum(-1)
    crossed = (
        p.mean * _second(frame, q, r)
        + q.mean * _second(frame, p, r)
        + r.mean * _second(frame, p, q)
    )
    return moment - crossed - p.mean * q.mean * r.mean
