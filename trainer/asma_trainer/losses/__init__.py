"""Losses, one a module; terms between clips span all processes."""
