"""Compositions of random maps: semi-invariant metrics, Lyapunov exponents, horofunctions."""
