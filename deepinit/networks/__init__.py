"""Spec -> pure functions: draw, apply, forward rows, backward cotangents."""
