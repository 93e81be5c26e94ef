"""Kinds of blocks: each module folds one, computes it as a reference and builds its graph; `registry` lists them."""
