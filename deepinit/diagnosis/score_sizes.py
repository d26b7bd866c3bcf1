"""How networks of a size are scored: explicit or deferred matrices, how many at once."""

from deepinit.core.errors import ResourceError

_MOST_EXPLICIT = 3_000_000  # parameters, of "auto"
_MOST_EXPLICIT_STATES = 20_000_000  # of scores that need no gradient by parameters
MOST_AT_ONCE = 16  # networks
_CHUNK_BYTES, _MOST_BYTES = 2**29, 2**33
# Of the parameters in one network: parameters, steps, tangents; with the kernel 12 gradients.
_COPIES = {"states": 4, "first_step": 6, "all": 18}


def is_deferred(size: int, linear_map: str, parts: str) -> bool:
    """Whether matrices of so many parameters are drawn only as far as they act."""
    most = _MOST_EXPLICIT_STATES if parts == "states" else _MOST_EXPLICIT
    return linear_map == "deferred" or (linear_map == "auto" and size > most)


def networks_at_once(size: int, num_seeds: int, parts: str) -> int:
    """Networks at once; ResourceError where one is too large."""
    own = 4 * size * _COPIES[parts]
    if own > _MOST_BYTES:
        most = _MOST_BYTES // (4 * _COPIES["all"])
        allowed = f"at most {most:.2g}, whose tangent kernel takes {_MOST_BYTES >> 30} GiB"
        remedy = "Score the same architecture with fewer blocks or a smaller width."
        raise ResourceError(f"a network of {size:.2g} parameters", allowed, remedy)
    return max(1, min(num_seeds, MOST_AT_ONCE, _CHUNK_BYTES // own))
