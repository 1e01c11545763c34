"""Pretrained weights: torchvision's, those of finished runs, and the shipped RH-emo encoder."""

from serjax.models.pretrained.encoder import ENCODER_CORPUS, encoder, with_embedding, write_encoder
from serjax.models.pretrained.load import load

__all__ = ["ENCODER_CORPUS", "encoder", "load", "with_embedding", "write_encoder"]
