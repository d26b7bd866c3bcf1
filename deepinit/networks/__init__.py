"""Spec -> pure functions: draw a network, apply it, pass rows forward and cotangents backward."""
