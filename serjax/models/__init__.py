"""Networks by name: `create(name, num_classes)`, `names()`, and what each of them hears."""

from serjax.models.dscnn import DSCNN
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
from serjax.models.vgg import VGG

__all__ = [
    "DSCNN",
    "VGG",
    "Embedded",
    "RHEmoEncoder",
    "ResNet",
    "ResNetStatistics",
    "TrainingDefaults",
    "create",
    "front_end",
    "names",
    "training_defaults",
]
