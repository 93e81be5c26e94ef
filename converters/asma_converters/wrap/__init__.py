"""Somebody else's classifier, put into a bundle that devices run."""
