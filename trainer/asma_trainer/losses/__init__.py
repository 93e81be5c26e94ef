"""Losses: Barlow Twins for pretraining, softened KL for distillation."""
