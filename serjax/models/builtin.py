"""Built-in networks: their names, front ends, papers, and default training settings."""

import functools

from serjax.features import front_ends
from serjax.models.alexnet import AlexNet
from serjax.models.dscnn import DSCNN
from serjax.models.inception import InceptionV3
from serjax.models.registry import register
from serjax.models.resnet import ResNet
from serjax.models.resnet_statistics import ResNetStatistics
from serjax.models.rhemo import RHEmo
from serjax.models.squeezenet import SqueezeNet
from serjax.models.tiwari import TiwariCNN
from serjax.models.vgg import VGG, VGG11_STAGES, VGG13_STAGES, VGG19_STAGES

_register_resnet = functools.partial(
    register,
    front_end=front_ends.GUIZZO_REAL,
    learning_rate=1e-3,
    batch_size=16,
    epochs=30,
    bundled_epochs=4,
)
# A few hundred steps through thirteen layers are too few to average out the noise of the published
# dropout of half of all hidden values.
_register_vgg = functools.partial(
    register,
    front_end=front_ends.GUIZZO_REAL,
    learning_rate=1e-4,
    batch_size=4,
    epochs=15,
    bundled_epochs=4,
    model_options={"dropout_rate": 0.1},
)
# Networks of their papers' own front ends, with batch norm and without pretrained weights.
_register_small = functools.partial(
    register, learning_rate=1e-3, batch_size=20, epochs=50, bundled_epochs=15
)

_register_vgg("vgg11", options={"stages": VGG11_STAGES}, paper="Simonyan & Zisserman (2015)")(VGG)
_register_vgg("vgg13", options={"stages": VGG13_STAGES}, paper="Simonyan & Zisserman (2015)")(VGG)
_register_vgg("vgg16", paper="Guizzo et al. (2023)")(VGG)
_register_vgg("vgg19", options={"stages": VGG19_STAGES}, paper="Simonyan & Zisserman (2015)")(VGG)
_register_resnet("resnet18", options={"blocks": (2, 2, 2, 2)}, paper="He et al. (2016)")(ResNet)
_register_resnet("resnet34", options={"blocks": (3, 4, 6, 3)}, paper="He et al. (2016)")(ResNet)
_register_resnet(
    "resnet50", options={"blocks": (3, 4, 6, 3), "bottleneck": 1}, paper="He et al. (2016)"
)(ResNet)
_register_resnet(
    "wide_resnet50",
    options={"blocks": (3, 4, 6, 3), "bottleneck": 2},
    paper="Zagoruyko & Komodakis (2016)",
)(ResNet)
_register_vgg("alexnet", paper="Krizhevsky (2014)")(AlexNet)
register(
    "squeezenet",
    front_end=front_ends.GUIZZO_REAL,
    learning_rate=1e-3,
    batch_size=16,
    epochs=30,
    bundled_epochs=6,
    model_options={"dropout_rate": 0.1},
    paper="Iandola et al. (2016)",
)(SqueezeNet)
_register_resnet(
    "inception_v3",
    quaternion_front_end=front_ends.GUIZZO_QUATERNION_LARGE,
    paper="Szegedy et al. (2016)",
)(InceptionV3)
_register_small("dscnn", front_end=front_ends.DEEPIKA, paper="Deepika & Kuchibhotla (2025)")(DSCNN)
_register_resnet("resnet34_stats", front_end=front_ends.PADI, paper="Padi et al. (2021)")(
    ResNetStatistics
)
_register_small("tiwari_cnn", front_end=front_ends.TIWARI, paper="Tiwari et al.")(TiwariCNN)
register(
    "rhemo",
    front_end=front_ends.GUIZZO_QUATERNION,
    learning_rate=1e-4,
    batch_size=4,
    epochs=15,
    bundled_epochs=4,
    has_encoder=True,
    paper="Guizzo et al. (2022)",
)(RHEmo)
