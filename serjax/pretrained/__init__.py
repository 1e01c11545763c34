"""Pretrained weights: torchvision's, and those of finished runs, as a model and its variables."""

from serjax.pretrained.load import load

__all__ = ["load"]
