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

from recipes import RAVDESS, TESS, Recipe, Row

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


def _row(model: str, title: str, anger: float, happiness: float, sadness: float) -> Row:
    published = {"anger": anger, "happiness": happiness, "sadness": sadness}
    return Row(model, title, {**_on(_FOUR), "model": model}, published, folds=5)


RECIPE = Recipe(
    title="Tiwari et al., Table 2 and section IV",
    corpora={
        "tess": TESS,
        "ravdess": RAVDESS,
        "savee": "the folder AudioData, on request from http://kahlan.eps.surrey.ac.uk/savee",
        "cremad": "the folder AudioWAV, https://github.com/CheyneyComputerScience/CREMA-D",
    },
    rows=(
        _row("knn", "K nearest neighbours", 93, 55, 77),
        _row("lda", "linear discriminant analysis", 68, 49, 72),
        _row("svm", "support vector machine", 74, 70, 93),
        _row("rda", "regularized discriminant analysis", 83, 73, 97),
        Row(
            "tiwari_cnn",
            "convolutional network",
            {**_on(_FOUR), "model": "tiwari_cnn", "augmentation": "tiwari"},
            {"wa": 93.4, "anger": 96, "happiness": 94, "sadness": 93},
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
            {"wa": 83.1},
            folds=5,
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
    small={"epochs": 1, "batch_size": 8, "image_size": (64, 64)},
    small_rows=("knn", "lda", "svm", "rda", "tiwari_cnn", "resnet34"),
)
