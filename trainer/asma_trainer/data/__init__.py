"""Prepared data sets: reading, writing, splits, and batches of clips."""
