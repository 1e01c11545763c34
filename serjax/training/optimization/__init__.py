"""Optimization: optimizers, learning-rate schedules, frozen layers."""
