"""Layer state -> numbers: observables of one network at one layer, for `vmap` and `scan`."""
