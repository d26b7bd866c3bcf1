"""Meaning of the names of theories, a sentence each."""

MEANINGS = {
    "exact": "Law of the network at every width and depth.",
    "first_order": "Expansion in 1/width to first order.",
    "second_order": "Expansion in 1/width to second order.",
    "tapered": "Second order in 1/width, joined to the exact law of small angles with a weight "
    "that vanishes at large angles; the default.",
    "hybrid": "Second order in 1/width, joined to the exact law of small angles in every layer.",
    "paper": "Formula as published, where deepinit corrects it.",
    "approximation": "Closed form of the published formula for small angles.",
    "idealized": "Law of a network whose layers have independent factors.",
    "infinite_depth": "Diffusion limit of a residual network: depth to infinity, at every width.",
    "infinite_width": "Width to infinity at fixed depth.",
    "leading_order": "Leading order in the size of the initial weights.",
    "price_tanner": "Lower bound of Price & Tanner on the mean length.",
    "raghu": "Lower bound of Raghu et al. on the mean length; its constant per layer is set to 1.",
    "orbit": "Deterministic orbit of the rounded mean square in wide layers.",
    "random_walk": "Random walk of the log norm, absorbed at the smallest value of the grid.",
}
