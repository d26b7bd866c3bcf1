"""Order 1/width of composed networks, from one rule per layer kind."""
