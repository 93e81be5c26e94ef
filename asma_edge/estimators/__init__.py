"""Pose estimators by name."""
