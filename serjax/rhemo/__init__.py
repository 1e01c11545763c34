"""The pretraining of the RH-emo autoencoder."""

from serjax.rhemo.config import RHEmoConfig
from serjax.rhemo.pretraining import pretrain

__all__ = ["RHEmoConfig", "pretrain"]
