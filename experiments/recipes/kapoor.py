"""Kapoor and Kumar, "Anger and stress recognition from spectrogram images using pre-trained
convolutional neural network".

Colour images of the spectra of voiced chunks of 30 ms, and four networks with ImageNet's weights:
global max pooling, a dense layer of 512, and one of three classes, anger, stress and neutral.

    python experiments/reproduce.py kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
        --init squeezenet=squeezenet1_1.pth --init wide_resnet50=wide_resnet50_2.pth
        --init inception_v3=inception_v3.pth
    python experiments/reproduce.py kapoor --data-dir iemocap=IEMOCAP --only squeezenet
    python experiments/reproduce.py kapoor --embedded --scale small

It needs IEMOCAP, and torchvision's weights of the networks. The published figures are of the
validation part; on their training part they report 99.7, 57.8, 85.7 and 38.5 %.
"""

from typing import Any

from recipes import IEMOCAP, Recipe, Row

_CONFIG: dict[str, Any] = {
    "dataset": "iemocap",
    "labels": "kapoor",
    "split": "random",
    "front_end_of": "kapoor",
    "optimizer": "adadelta",
    "learning_rate": 1e-4,
    "schedule": "constant",
    "batch_size": 32,
    "epochs": 10,
    "patience": 10,
    "model_options": {"pooling": "max", "hidden": 512},
}


def _row(model: str, title: str, accuracy: float, **fields: Any) -> Row:
    return Row(model, title, {**_CONFIG, "model": model, **fields}, {"wa": accuracy}, folds=5)


RECIPE = Recipe(
    title="Kapoor & Kumar, Table II",
    corpora={"iemocap": IEMOCAP},
    rows=(
        _row("resnet50", "ResNet50", 99.8),
        _row("squeezenet", "SqueezeNet", 46.3),
        _row("wide_resnet50", "WideResNet", 78.9),
        _row("inception_v3", "InceptionV3", 38.5, image_size=(299, 299)),
    ),
    deviations=(
        "They report the accuracy on the validation part, over single chunks; here it is that of "
        "test utterances, by the mean over their chunks.",
        "They divide 3,000 chunks into 1,800, 600 and 600 and do not say whether chunks of an "
        "utterance are kept together; here they are, in five folds of all utterances, of which "
        "three train, and an epoch hears one chunk of each, drawn anew.",
        "IEMOCAP has no stress and they do not say what stands for it; here it is frustration.",
        "Their images are 900 x 1200 as MATLAB drew them, with axes of unknown analysis; here they "
        "are 61 frames of 64 mel bands in the colours of jet, resized to 224 x 224 (299 x 299).",
        "Voiced speech is found by autocorrelation (Boersma 1993); they do not say how they do. "
        "Chunks overlap a little where the voiced part is no multiple of 30 ms, and an utterance "
        "of which less is voiced is heard whole.",
        "Their SqueezeNet and WideResNet are of unnamed versions; here SqueezeNet 1.1 and "
        "WideResNet 50-2. The dense layer of 512 has ReLU; SqueezeNet and InceptionV3 have dropout "
        "before it.",
        "The weights come from chance unless `--init MODEL=FILE` names ImageNet's, and train as a "
        "whole; they do not say which layers they trained.",
    ),
    small={"epochs": 1, "batch_size": 8, "image_size": (64, 64)},
    small_rows=("squeezenet",),
)
