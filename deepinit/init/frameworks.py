"""Default initializations of frameworks.

Biases that are 0 at initialization are left out.
"""

from deepinit.core.laws import normal, truncated_normal, uniform
from deepinit.init.place import Laws, Place, Scheme

_KERAS_EMBEDDING = 0.05  # half width of the uniform law


def pytorch() -> Scheme:
    """PyTorch: nn.Linear, nn.Conv, nn.MultiheadAttention, nn.Embedding.

    Weights and biases of linear and convolution layers are uniform of variance 1 / (3 fan_in):
    `kaiming_uniform_(a=sqrt(5))`, bound 1 / sqrt(fan_in). Attention: the joint matrix of queries,
    keys and values is `xavier_uniform_`, variance 2 / (fan_in + 3 rows). Embeddings are N(0, 1).
    Positions keep their law.
    """
    return _pytorch


def _pytorch(place: Place) -> Laws | None:
    if place.kind in ("query", "key", "value"):
        return Laws(uniform(2 / (place.fan_in + 3 * place.rows), "absolute"))
    if place.kind == "embed":
        return Laws(normal(1.0, "absolute"))
    if place.kind == "positions":
        return None
    weight = uniform(1 / 3)
    if place.kind == "output":
        return Laws(weight)
    return Laws(weight, uniform(1 / (3 * place.fan_in), "absolute"))


pytorch_linear = pytorch  # nn.Linear alone
pytorch_conv = pytorch  # nn.Conv1d, nn.Conv2d alone: the same law


def keras() -> Scheme:
    """Keras: Dense, Conv (`glorot_uniform`), MultiHeadAttention, Embedding.

    Variance 2 / (fan_in + fan_out). Kernels of attention have three axes, which Keras counts as a
    convolution's: 2 / (fan_in (heads + head width)) for queries, keys, values, and
    2 / (heads (head width + rows)) for outputs. Embeddings are uniform on [-0.05, 0.05]. Positions
    keep their law.
    """
    return _keras


def _keras(place: Place) -> Laws | None:
    if place.kind in ("query", "key", "value"):
        head_width = place.rows // place.heads
        return Laws(uniform(2 / (place.fan_in * (place.heads + head_width)), "absolute"))
    if place.kind == "output":
        head_width = place.fan_in // place.heads
        return Laws(uniform(2 / (place.heads * (head_width + place.rows)), "absolute"))
    if place.kind == "embed":
        return Laws(uniform(_KERAS_EMBEDDING**2 / 3, "absolute"))
    if place.kind == "positions":
        return None
    return Laws(uniform(2 / (place.fan_in + place.fan_out), "absolute"))


def flax() -> Scheme:
    """Flax, linen and nnx: Dense, Conv, attention (`lecun_normal`), Embed.

    Normal, truncated at two standard deviations, variance 1 / fan_in. Embeddings are normal of
    variance 1 / features. Positions keep their law.
    """
    return _flax


def _flax(place: Place) -> Laws | None:
    if place.kind == "embed":
        return Laws(normal(1 / place.rows, "absolute"))
    if place.kind == "positions":
        return None
    return Laws(truncated_normal(1.0))


def gpt2(std: float = 0.02) -> Scheme:
    """GPT-2: N(0, std^2), at the ends of residual branches N(0, std^2 / L), L residual layers.

    Reference: Radford et al. 2019, section 2.3.
    """

    def scheme(place: Place) -> Laws:
        shrink = place.residual_layers if place.ends_branch else 1
        return Laws(normal(std**2 / shrink, "absolute"))

    return scheme
