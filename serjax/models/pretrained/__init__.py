"""Pretrained weights: torchvision's, and those of finished runs, as a model and its variables."""

from serjax.models.pretrained.encoder import encoder, with_embedding, write_encoder
from serjax.models.pretrained.load import load

__all__ = ["encoder", "load", "with_embedding", "write_encoder"]
