"""Recipes: the full settings of a run."""
