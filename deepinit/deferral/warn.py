"""Warnings at the line of the user who called, not inside JAX."""

import os
import sys
import warnings

import jax

_INSIDE = os.path.dirname(os.path.dirname(__file__)), os.path.dirname(str(jax.__file__))


def warn_user(text: str) -> None:
    """Warn at the first caller outside of this package and of JAX."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
