"""Slow, plain NumPy definitions that the fast code must agree with.

Nothing here imports serjax: each function is written from its definition, in float64, with
loops where loops are clearer.
"""
