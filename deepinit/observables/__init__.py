"""Layer state -> numbers. An observable sees one network, one layer; everything else is `vmap` and `scan`."""
