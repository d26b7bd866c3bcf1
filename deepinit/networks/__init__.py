"""Spec -> pure functions: draw a network, apply it, and pass a stack of rows through it layer by layer."""
