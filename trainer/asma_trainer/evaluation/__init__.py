"""Scores on unseen clips: probes, classifiers, converted bundles."""
