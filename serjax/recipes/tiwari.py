"""Tiwari, Agrawal, Prajapati, Rasool, Chandran and Jadhav, "Emotion detection through human verbal
expression using deep learning techniques".

Spectrogram images are augmented by shifts, speed and noise, by rotation, flips and elastic
deformation, and in brightness and contrast. A convolutional network of their own is compared with
classical classifiers on four joined corpora, and a ResNet-34 with ImageNet weights is trained on
two of them.

    serjax reproduce tiwari --data-dir tess=DIR --data-dir ravdess=DIR
        --data-dir savee=DIR --data-dir cremad=DIR --init resnet34=resnet34.pth
    serjax reproduce tiwari --data-dir tess=DIR --data-dir ravdess=DIR
        --only resnet34
    serjax reproduce tiwari --bundled --scale small

It needs TESS, RAVDESS, SAVEE and CREMA-D, or at least two of them; the ResNet-34 TESS and RAVDESS,
and torchvision's weights of it.
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
            {**_on(_FOUR), "model": "tiwari_cnn", "augment": "tiwari"},
            folds=5,
        ),
        Row(
            "resnet34",
            "ResNet-34 on TESS and RAVDESS",
            {
                **_on(_TWO),
                "model": "resnet34",
                "front_end": "tiwari",
                "augment": "tiwari",
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
        Figures(
            "Table 3: other systems",
            {"tiwari_cnn": {"wa": 93.4}},
            {
                "CNN and DBN (Zhao et al.)": {"wa": 91.6},
                "RNN and CNN (Lakomkin et al.)": {"wa": 83.2},
                "CNN and ResNet50 (Tzirakis et al.)": {"wa": 78.7},
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
        "They augmented the recordings before they divided them into training and validation set: "
        "changed copies of one recording in both are a leak. Here the corpus is split first, and "
        "only the training set is augmented.",
        "Their test set seems to be the validation set that also selected the weights. Here five "
        "folds have disjoint training, validation and test sets.",
        "Utterances are split at random, as they seem to have done: all speakers are seen in "
        "training, and TESS has two.",
        "Their Table 2 does not name its measure; it is taken as recall.",
        "They do not give the network's layers, the optimizer, the learning rate, the number of "
        "epochs or the parameters of the augmentation: those are chosen by us. They show three "
        "epochs of the ResNet-34. Scaling is a change of speed here, flips are along time only, "
        "and photometric alterations are brightness and contrast.",
        "Rows on fewer than the paper's corpora name the missing ones: their figures are those of "
        "other training and test sets.",
        "The systems of Table 3 were tested on other corpora, so the comparison is the paper's.",
        "The sizes in their Table 1 (2,184 of RAVDESS, 4,000 of SAVEE) are not those of the "
        "published corpora, which are used whole, without RAVDESS's songs, which may be in theirs, "
        "and its calm utterances.",
        "The features of the classical models are 150 statistics of MFCC and spectrum, without "
        "augmentation; they do not name theirs.",
        "The ResNet-34 starts from random weights unless `--init resnet34=FILE` names ImageNet's, "
        "and all layers are trained; they do not say which layers they trained.",
    ),
    tuned=Tuned({"epochs": 60, "patience": 60, "weight_decay": 1e-2}),
    small={"epochs": 1, "batch_size": 8, "image_size": (64, 64)},
    small_rows=("lda", "tiwari_cnn", "resnet34"),
)
