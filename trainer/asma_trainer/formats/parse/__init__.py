"""Readers of raw content: files and archives, JSON, NumPy, pickles, tables, skeleton text formats."""
