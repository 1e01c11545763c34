"""Pretrained weights: torchvision's, and those of finished runs, as a model and its variables."""

from serjax.models.pretrained.encoder import ENCODER_CORPUS, encoder, with_embedding, write_encoder
from serjax.models.pretrained.load import load

__all__ = ["ENCODER_CORPUS", "encoder", "load", "with_embedding", "write_encoder"]
