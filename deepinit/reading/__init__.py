"""Reading: a user's own network, as traced, recognized as a network of `di.layers`."""
