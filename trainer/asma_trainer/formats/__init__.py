"""Readers of skeleton formats, one a module; each yields clips for `DatasetWriter`."""
