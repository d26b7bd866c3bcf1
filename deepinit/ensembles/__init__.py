"""Key -> many networks: keys, blocks of seeds, devices, mergeable statistics. Knows no network."""
