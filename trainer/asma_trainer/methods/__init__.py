"""Ways to learn without labels, one a module."""
