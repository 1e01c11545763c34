"""Tiwari, Agrawal, Prajapati, Rasool, Chandran and Jadhav, "Emotion detection through human verbal
expression using deep learning techniques".

Spectrogram images, augmented by shifts, speed and noise and by rotation, flips and elastic
deformation: a convolutional network of their own on four corpora together beside classical
classifiers, and a ResNet-34 with ImageNet's weights on two of them.

    python experiments/reproduce.py tiwari --data-dir tess=DIR --data-dir ravdess=DIR
        --data-dir savee=DIR --data-dir cremad=DIR --init resnet34=resnet34.pth
    python experiments/reproduce.py tiwari --data-dir tess=DIR --data-dir ravdess=DIR
        --only resnet34
    python experiments/reproduce.py tiwari --embedded --scale small

It needs TESS, RAVDESS, SAVEE and CREMA-D; the ResNet-34 TESS and RAVDESS, and torchvision's weights
of it.
"""

from typing import Any

from serjax.recipes import RAVDESS, TESS, Recipe, Row, Tuned
from serjax.report import Curves, Epochs, Figures

_FOUR = ("tess", "ravdess", "savee", "cremad")
_TWO = ("tess", "ravdess")


def _on(corpora: tuple[str, ...]) -> dict[str, Any]:
    options = {"corpora": dict.fromkeys(corpora)}
    return {
        "dataset": "joined",
        "dataset_options": options,
        "labels": "tiwari",
        "split": "random",
    }


def _row(model: str, title: str) -> Row:
    return Row(model, title, {**_on(_FOUR), "model": model}, folds=5)


def _recalls(anger: float, happiness: float, sadness: float) -> dict[str, float | None]:
    return {"anger": anger, "happiness": happiness, "sadness": sadness}


RECIPE = Recipe(
    title="Tiwari et al.",
    corpora={
        "tess": TESS,
        "ravdess": RAVDESS,
        "savee": "the folder AudioData, on request from http://kahlan.eps.surrey.ac.uk/savee",
        "cremad": "the folder AudioWAV, https://github.com/CheyneyComputerScience/CREMA-D",
    },
    rows=(
        _row("knn", "K nearest neighbours"),
        _row("lda", "linear discriminant analysis"),
        _row("svm", "support vector machine"),
        _row("rda", "regularized discriminant analysis"),
        Row(
            "tiwari_cnn",
            "convolutional network",
            {**_on(_FOUR), "model": "tiwari_cnn", "augmentation": "tiwari"},
            folds=5,
        ),
        Row(
            "resnet34",
            "ResNet-34 on TESS and RAVDESS",
            {
                **_on(_TWO),
                "model": "resnet34",
                "front_end_of": "tiwari",
                "augmentation": "tiwari",
                "colormap": "viridis",
                "image_size": (224, 224),
                "epochs": 3,
            },
            folds=5,
        ),
    ),
    tables=(
        Figures(
            "Table 2: recalls, and the accuracy of section V",
            {
                "knn": _recalls(93, 55, 77),
                "lda": _recalls(68, 49, 72),
                "svm": _recalls(74, 70, 93),
                "rda": _recalls(83, 73, 97),
                "tiwari_cnn": {"wa": 93.4, **_recalls(96, 94, 93)},
            },
        ),
        Figures("Section IV.A: ResNet-34", {"resnet34": {"wa": 83.1, "ua": None}}),
        Epochs(
            "Figure 4: ResNet-34 by epoch",
            "resnet34",
            {
                "train_loss": (0.318713, 0.328193, 0.246364),
                "validation_loss": (0.583562, 0.561887, 0.515104),
                "validation_wa": (78.4648, 81.0235, 83.1556),
                "learning_rate": (),
            },
        ),
        Curves(
            "Accuracy and loss over the epochs",
            ("resnet34", "tiwari_cnn"),
            "epochs.png",
        ),
    ),
    deviations=(
        "Their test part is a validation part, which also chose the weights, for all that they "
        "say; here five folds each test, validate and train on utterances of their own.",
        "Utterances are divided at random, as they seem to have done: all speakers are heard in "
        "training, and TESS has two.",
        "Their Table 2 does not say what its per cent are of; they stand here as recalls.",
        "They give no figures of the network's layers, of the optimizer, the number of epochs or "
        "the amounts of augmentation: those are ours. Of the ResNet-34 they show three epochs.",
        "The sizes in their Table 1 (2,184 of RAVDESS, 4,000 of SAVEE) are not those of the "
        "published corpora, of which all is used; RAVDESS's songs, which may be in theirs, and its "
        "calm are not.",
        "The classical models hear 150 statistics of MFCC and spectrum, unaugmented; they do not "
        "name their features.",
        "The ResNet-34 starts from chance unless `--init resnet34=FILE` names ImageNet's weights, "
        "and trains as a whole; they do not say which of its layers they trained.",
    ),
    tuned=Tuned({"epochs": 60, "patience": 60, "weight_decay": 1e-2}),
    small={"epochs": 1, "batch_size": 8, "image_size": (64, 64)},
    small_rows=("lda", "tiwari_cnn", "resnet34"),
)
