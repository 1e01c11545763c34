"""Convolutions and reductions below every algebra, fast on CPUs too; no Flax."""
