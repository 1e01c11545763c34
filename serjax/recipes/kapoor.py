"""Kapoor and Kumar, "Anger and stress recognition from spectrogram images using pre-trained
convolutional neural network".

The input is colour images of the spectra of 3,000 voiced chunks of 30 ms. Four networks with
ImageNet weights get global max pooling, a dense layer of 512, and one of three classes: anger,
stress and neutral. Rows that end in `-learns` differ by a learning rate that can train new layers.

    serjax reproduce kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
        --init squeezenet=squeezenet1_1.pth --init wide_resnet50=wide_resnet50_2.pth
        --init inception_v3=inception_v3.pth
    serjax reproduce kapoor --data-dir iemocap=IEMOCAP --only squeezenet
    serjax reproduce kapoor --bundled --scale small

It needs IEMOCAP, and torchvision's weights of the networks.
"""

from collections.abc import Iterator
from typing import Any

from serjax.recipes import IEMOCAP, Recipe, Row, Tuned
from serjax.report import Curves, Figures

_CONFIG: dict[str, Any] = {
    "dataset": "iemocap",
    "labels": "kapoor",
    "subset": 3000,
    "split": "random",
    "front_end": "kapoor",
    "silence": "voiced_segment",
    "optimizer": "adadelta",
    "learning_rate": 1e-4,
    "schedule": "constant",
    "batch_size": 32,
    "epochs": 10,
    "patience": 10,
    "model_options": {"pooling": "max", "hidden": 512},
}


_NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet50": ("ResNet50", {}),
    "squeezenet": ("SqueezeNet", {}),
    "wide_resnet50": ("WideResNet", {}),
    "inception_v3": ("InceptionV3", {"image_size": (299, 299)}),
}
# The rate of Zeiler (2012), who has none besides rho and epsilon.
_LEARNING = {"learning_rate": 1.0}


def _rows() -> Iterator[Row]:
    for model, (title, options) in _NETWORKS.items():
        yield Row(model, title, {**_CONFIG, "model": model, **options}, folds=5)
    for model, (title, options) in _NETWORKS.items():
        yield Row(
            f"{model}-learns",
            f"{title}, learning rate 1",
            {**_CONFIG, "model": model, **options, **_LEARNING},
            folds=5,
        )


def _published(*figures: float) -> dict[str, float | None]:
    """Returns a row of Table II, with columns for our test accuracy, which they do not have."""
    names = ("train_wa", "validation_wa", "train_loss", "validation_loss")
    return {**dict(zip(names, figures, strict=True)), "wa": None, "ua": None}


RECIPE = Recipe(
    title="Kapoor & Kumar",
    corpora={"iemocap": IEMOCAP},
    rows=tuple(_rows()),
    tables=(
        Figures(
            "Table II: the best epoch in each",
            {
                "resnet50": _published(99.7, 99.8, 0.0236, 0.023),
                "squeezenet": _published(57.8, 46.3, 7.2, 9.6),
                "wide_resnet50": _published(85.7, 78.9, 6.12, 6.23),
                "inception_v3": _published(38.5, 38.5, 9.8, 9.8),
                **{f"{model}-learns": {} for model in _NETWORKS},
            },
        ),
        Curves(
            "Figures 8 to 15: accuracy and loss over the epochs",
            tuple(_NETWORKS),
            "figures-8-to-15.png",
        ),
        Curves(
            "Accuracy and loss over the epochs, learning rate 1",
            tuple(f"{model}-learns" for model in _NETWORKS),
            "epochs-learning-rate-1.png",
        ),
    ),
    deviations=(
        "Adadelta with their learning rate of 1e-4 and their epsilon of 1e-8 cannot train new "
        "layers: its steps start at 4.5e-8 of a weight and move the 512 x 3 classes by less than "
        "1e-4 in 10 epochs, so an accuracy of 99.7 % does not come from these settings. The rows "
        "with a learning rate of 1, Adadelta's own, show settings that learn.",
        "They report training and validation only; here a test set of 600 chunks is reported too. "
        "Figures of training and validation are those of the best epoch in each, as their Figures "
        "12 to 15 say, and means of five folds, each of 1,800, 600 and 600 chunks. They have one "
        "split.",
        "The text has a validation loss of 0.23 for ResNet50 and an accuracy of 46.7 % for "
        "SqueezeNet where Table II has 0.023 and 46.3 %. A loss of 9.8 at an accuracy of "
        "38.5 % on three classes means that training diverged, or that it is no mean.",
        "They do not say which 3,000 chunks they use, nor whether chunks of an utterance are in "
        "one set. Here they are of 3,000 utterances, 1,000 of each class, sampled at random; each "
        "is the chunk in the middle of its utterance's voiced speech.",
        "IEMOCAP has no stress, and they do not say which label they took; here it is frustration.",
        "Their images are plots of MATLAB, 900 x 1200, of an unknown analysis. Here they are 61 "
        "frames of 64 mel bands in the colour map jet, resized to 224 x 224 (299 x 299).",
        "Voiced speech is found by autocorrelation (Boersma 1993); they do not say how. "
        "An utterance with less than 30 ms of voiced speech gives the middle of its whole speech.",
        "Their SqueezeNet and WideResNet are of unnamed versions; here SqueezeNet 1.1 and "
        "WideResNet 50-2. The dense layer of 512 has ReLU; SqueezeNet and InceptionV3 have dropout "
        "before it.",
        "Weights are random unless `--init MODEL=FILE` names ImageNet's, and all layers are "
        "trained; they do not say which layers they trained.",
    ),
    tuned=Tuned(
        {
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "epochs": 40,
            "patience": 40,
            "augment": "conservative",
        }
    ),
    small={"epochs": 1, "batch_size": 8, "image_size": (64, 64)},
    small_rows=("squeezenet", "squeezenet-learns"),
)
