"""Pretrained weights: published ones and those of finished runs, as a model and its variables."""

from serjax.models.pretrained import load

__all__ = ["load"]
