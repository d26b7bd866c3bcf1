"""Mathematics that several theories share: moments of Gaussian pairs, factors of one layer, the
delta method."""
