"""Observables of one network at one layer, for `vmap` and `scan`."""
