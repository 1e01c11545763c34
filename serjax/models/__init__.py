"""Networks by name: `create(name, num_classes)`, `names()`, and what each of them hears."""

from serjax.models.alexnet import AlexNet
from serjax.models.catalogue import ModelInfo, describe
from serjax.models.dscnn import DSCNN
from serjax.models.inception import InceptionV3
from serjax.models.registry import (
    TrainingDefaults,
    create,
    front_end,
    names,
    training_defaults,
)
from serjax.models.resnet import ResNet
from serjax.models.resnet_statistics import ResNetStatistics
from serjax.models.rhemo import Embedded, RHEmoEncoder
from serjax.models.squeezenet import SqueezeNet
from serjax.models.vgg import VGG

__all__ = [
    "DSCNN",
    "VGG",
    "AlexNet",
    "Embedded",
    "InceptionV3",
    "ModelInfo",
    "RHEmoEncoder",
    "ResNet",
    "ResNetStatistics",
    "SqueezeNet",
    "TrainingDefaults",
    "create",
    "describe",
    "front_end",
    "names",
    "training_defaults",
]
