"""Keys, blocks, devices and mergeable statistics of any seed function."""

# Draw scheme 2: threefry, sequential bits (`core.generator`), seed i's network from
# `fold_in(root, i)`, its layer l from `fold_in(., l)`. Part of every run's identity.
DRAW_SCHEME = 2
