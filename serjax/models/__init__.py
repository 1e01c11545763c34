"""Networks by name: creation, front ends, training settings, and registration of further ones."""

# Importing it registers the built-in networks.
from serjax.models import builtin as _builtin  # noqa: F401
from serjax.models.alexnet import AlexNet
from serjax.models.catalogue import ModelInfo, describe
from serjax.models.dscnn import DSCNN
from serjax.models.feature_extraction import features_up_to
from serjax.models.inception import InceptionV3
from serjax.models.registry import (
    TrainingDefaults,
    create,
    front_end,
    names,
    register,
    training_defaults,
    unregister,
)
from serjax.models.resnet import ResNet
from serjax.models.resnet_statistics import ResNetStatistics
from serjax.models.rhemo import Embedded, RHEmo, RHEmoDecoder, RHEmoEncoder
from serjax.models.squeezenet import SqueezeNet
from serjax.models.tiwari import TiwariCNN
from serjax.models.vgg import VGG

__all__ = [
    "DSCNN",
    "VGG",
    "AlexNet",
    "Embedded",
    "InceptionV3",
    "ModelInfo",
    "RHEmo",
    "RHEmoDecoder",
    "RHEmoEncoder",
    "ResNet",
    "ResNetStatistics",
    "SqueezeNet",
    "TiwariCNN",
    "TrainingDefaults",
    "create",
    "describe",
    "features_up_to",
    "front_end",
    "names",
    "register",
    "training_defaults",
    "unregister",
]
