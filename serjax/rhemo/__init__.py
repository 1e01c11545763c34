"""Pretraining of the RH-emo autoencoder (Guizzo et al., 2023)."""

from serjax.rhemo.config import RHEmoConfig
from serjax.rhemo.pretraining import pretrain

__all__ = ["RHEmoConfig", "pretrain"]
