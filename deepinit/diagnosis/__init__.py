"""Will it train, why, and what to change."""
