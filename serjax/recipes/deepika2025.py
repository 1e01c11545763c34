"""Deepika and Kuchibhotla, "Enhanced speech emotion recognition using audio signal processing with
CNN assistance", Data and Metadata 4:715, 2025.

DSCNN has seven strided convolutions on spectrograms of whole files: raw ones, and clean ones, whose
silence an adaptive threshold removes. The tables have five folds of utterances, a cross-corpus
test, and three ImageNet networks on the same spectrograms. docs/recipes/deepika2025.md compares the
recipe with the paper, element by element.

    serjax reproduce deepika2025 --data-dir iemocap=DIR --data-dir ravdess=DIR
    serjax reproduce deepika2025 --data-dir ravdess=DIR --only ravdess-clean
    serjax reproduce deepika2025 --bundled --scale small

It needs IEMOCAP (4 classes) and RAVDESS, and for the networks of Table 10 torchvision's weights, by
`--init alexnet=FILE` and so on.
"""

from typing import Any

from serjax.recipes import IEMOCAP, RAVDESS, Recipe, Row, Tuned
from serjax.report import Confusion, Figures, PerClass

_CONFIG: dict[str, Any] = {
    "model": "dscnn",
    "split": "random",
    "learning_rate": 1e-3,
    "schedule": "step_decay",
    "step_decay": (15, 15, 0.1),
    "batch_size": 128,
    "epochs": 50,
    "patience": 50,
    "sample_rate": 20_000,
    "model_options": {"dropout_rate": 0.25},
}
_IEMOCAP = {**_CONFIG, "dataset": "iemocap", "labels": "iemocap_exp1"}
_RAVDESS = {**_CONFIG, "dataset": "ravdess"}
_RAW, _CLEAN, _PADDED = {"silence": "keep"}, {"silence": "remove"}, {"fit": "pad"}
# The text gives stride 2 to all layers; see `serjax.models.dscnn`.
_STRIDES = {"model_options": {"dropout_rate": 0.25, "strides": (2,) * 7}}


def _other(model: str, title: str, **options: Any) -> Row:
    """Makes the row of a network of Table 10 with the front end of DSCNN."""
    fields = {"model": model, "front_end": "deepika", "model_options": options}
    title = f"IEMOCAP, clean spectrograms, {title}"
    return Row(model, title, {**_IEMOCAP, **_CLEAN, **fields}, folds=5)


# Per cent as printed, also where they are above 100. Precision, recall, F1.
_TABLE_2 = {
    "iemocap-raw": {
        "anger": (97, 88, 90),
        "happiness": (59, 86, 70),
        "neutral": (110, 78, 88),
        "sadness": (70, 90, 80),
        "weighted mean": (79, 76, 77),
        "unweighted mean": (76, 74, 74),
    },
    "iemocap-clean": {
        "anger": (88, 97, 92),
        "happiness": (98, 68, 79),
        "neutral": (78, 89, 85),
        "sadness": (84, 93, 85),
        "weighted mean": (87, 86, 86),
        "unweighted mean": (87, 85, 84),
    },
}
_TABLE_3 = {
    "ravdess-raw": {
        "anger": (45, 110, 58),
        "happiness": (93, 30, 45),
        "neutral": (92, 43, 58),
        "sadness": (99, 99, 99),
        "calm": (83, 76, 79),
        "fear": (0, 0, 0),
        "surprise": (92, 47, 60),
        "disgust": (93, 87, 90),
        "weighted mean": (80, 72, 69),
        "unweighted mean": (74, 60, 62),
    },
    "ravdess-clean": {
        "anger": (80, 92, 85),
        "happiness": (80, 91, 85),
        "neutral": (72, 110, 84),
        "sadness": (99, 97, 94),
        "calm": (73, 95, 82),
        "fear": (110, 55, 68),
        "surprise": (90, 88, 89),
        "disgust": (110, 39, 56),
        "weighted mean": (86, 82, 82),
        "unweighted mean": (86, 82, 80),
    },
}
_FOUR = ("anger", "happiness", "neutral", "sadness")
_EIGHT = ("anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
_TABLE_4 = ((93, 6.4, 1.4, 3.3), (9.3, 74.5, 8.4, 9.3), (0, 7.3, 90.5, 2.4), (0, 2.5, 25.3, 73.3))
_TABLE_5 = (
    (84, 0, 0, 0, 16, 0, 0, 4),
    (0, 84, 0, 0, 0, 16, 0, 0),
    (19, 17, 53, 0, 0, 6, 0, 10),
    (22, 15, 0, 44, 9, 12, 0, 5),
    (5, 0, 0, 0, 88, 3, 3, 5),
    (0, 4, 0, 0, 0, 96, 0, 2),
    (0, 0, 0, 0, 3, 5, 95, 0),
    (0, 2, 0, 0, 0, 0, 0, 99),
)
_TABLE_7 = ((78, 9, 6, 10), (13, 45, 2, 45), (2, 14, 58, 34), (0, 53, 0, 50))


RECIPE = Recipe(
    title="Deepika & Kuchibhotla 2025",
    corpora={"iemocap": IEMOCAP, "ravdess": RAVDESS},
    rows=(
        Row("iemocap-raw", "IEMOCAP, raw spectrograms", {**_IEMOCAP, **_RAW}, folds=5),
        Row("iemocap-clean", "IEMOCAP, clean spectrograms", {**_IEMOCAP, **_CLEAN}, folds=5),
        Row("ravdess-raw", "RAVDESS, raw spectrograms", {**_RAVDESS, **_RAW}, folds=5),
        Row("ravdess-clean", "RAVDESS, clean spectrograms", {**_RAVDESS, **_CLEAN}, folds=5),
        Row(
            "iemocap-clean-strides",
            "IEMOCAP, clean spectrograms, stride 2 in all layers",
            {**_IEMOCAP, **_CLEAN, **_STRIDES},
            folds=5,
        ),
        Row(
            "ravdess-clean-strides",
            "RAVDESS, clean spectrograms, stride 2 in all layers",
            {**_RAVDESS, **_CLEAN, **_STRIDES},
            folds=5,
        ),
        Row(
            "ravdess-raw-padded",
            "RAVDESS, raw spectrograms of padded segments",
            {**_RAVDESS, **_RAW, **_PADDED},
            folds=5,
        ),
        Row(
            "ravdess-clean-padded",
            "RAVDESS, clean spectrograms of padded segments",
            {**_RAVDESS, **_CLEAN, **_PADDED},
            folds=5,
        ),
        Row(
            "cross-corpus",
            "trained on IEMOCAP, tested on RAVDESS",
            {**_IEMOCAP, **_CLEAN, "split": "speaker", "test_dataset": "ravdess"},
        ),
        _other("alexnet", "AlexNet", dropout_rate=0.5),
        # Pooled to 7 x 7 as torchvision's, whose weights then fit.
        _other("vgg16", "VGG16", dropout_rate=0.5, pool=7),
        _other("resnet50", "ResNet50"),
    ),
    tables=(
        Figures(
            "Table 1: raw and clean spectrograms",
            {
                "iemocap-raw": {"wa": 77, "ua": 73, "f1_weighted": 80},
                "iemocap-clean": {"wa": 85, "ua": 78, "f1_weighted": 85},
                "ravdess-raw": {"wa": 69, "ua": 83, "f1_weighted": 71},
                "ravdess-clean": {"wa": 82, "ua": 63, "f1_weighted": 85},
            },
        ),
        PerClass("Table 2: classes of IEMOCAP", _TABLE_2),
        PerClass("Table 3: classes of RAVDESS", _TABLE_3),
        Confusion("Table 4: confusion on IEMOCAP", "iemocap-clean", _FOUR, _TABLE_4),
        Confusion("Table 5: confusion on RAVDESS", "ravdess-clean", _EIGHT, _TABLE_5),
        Figures(
            "Table 6: training and test",
            {
                "iemocap-clean": {"train_wa": 84, "wa": 82.75},
                "ravdess-clean": {"train_wa": 81, "wa": 80.5},
            },
        ),
        Figures("Across corpora", {"cross-corpus": {"wa": 57.5}}),
        Confusion("Table 7: confusion across corpora", "cross-corpus", _FOUR, _TABLE_7),
        Figures(
            "Losses after 50 epochs (of one corpus, without its name)",
            {
                row: {"train_loss": 0.3225, "validation_loss": 0.5472}
                for row in ("iemocap-clean", "ravdess-clean")
            },
        ),
        Figures(
            "Table 8: other systems on IEMOCAP (their column 'accuracy': 74.8 raw, 82.75 clean, "
            "64.74 of Chen et al. 2018)",
            {"iemocap-raw": {"wa": 76, "ua": 72}, "iemocap-clean": {"wa": 85, "ua": 83}},
            {
                "Fayek et al. 2017": {"wa": 65.78, "ua": 60.99},
                "Luo et al. 2019": {"wa": 61.35, "ua": 62.98},
                "Tripathi et al. 2019": {"wa": 72.3, "ua": 61.7},
                "Yenigalla et al. 2018": {"wa": 73.0, "ua": 68.05},
            },
        ),
        Figures(
            "Table 9: other systems on RAVDESS (their column 'accuracy': 70.1 raw, 80.5 clean, "
            "64.5 of Zeng et al. 2019, 68.15 of Jalal et al. 2019, 75.7 of Bhavan et al. 2019)",
            {"ravdess-raw": {"wa": 68, "ua": 62}, "ravdess-clean": {"wa": 80, "ua": 80}},
            {"Jalal et al. 2019": {"ua": 70.4}},
        ),
        Figures(
            "Table 10: other networks",
            {
                "alexnet": {"wa": 70.54, "minutes": 38, "megabytes": 201},
                "vgg16": {"wa": 73.0, "minutes": 55, "megabytes": 420},
                "resnet50": {"wa": 75.5, "minutes": 30, "megabytes": 75},
                "iemocap-clean": {"wa": 82.75, "minutes": 14, "megabytes": 34.5},
            },
        ),
        Figures(
            "Not in the paper: stride 2 in all layers, as its text says",
            {
                row: {"wa": None, "megabytes": None}
                for row in (
                    "iemocap-clean",
                    "iemocap-clean-strides",
                    "ravdess-clean",
                    "ravdess-clean-strides",
                )
            },
        ),
        Figures(
            "Not in the paper: padded segments of 4 s instead of whole files",
            {
                row: {"wa": None, "ua": None}
                for row in (
                    "ravdess-raw",
                    "ravdess-clean",
                    "ravdess-raw-padded",
                    "ravdess-clean-padded",
                )
            },
        ),
    ),
    deviations=(
        "They call recall per class 'weighted' and the fraction of correct utterances 'unweighted' "
        "accuracy. Their figures are printed here as they are, ours under the field's usual names.",
        "Their tables contradict each other (IEMOCAP, clean: 85, 86 and 82.75 %), have fractions "
        "above 100 %, and confusion matrices whose rows do not add up to 100 %.",
        "Folds are 60 % training, 20 % validation and 20 % test, and the tested weights are those "
        "of the highest validation UA. Their folds have no validation set, so they probably test "
        "the last epoch, and their fractions do not add up (85 and 20 %).",
        "The text gives every convolution stride 2. That leaves one position of a 128 x 128 input, "
        "and 0.37 M parameters (1.5 MB), which contradicts the sizes that it gives (34.1 and 34.5 "
        "MB). Here stride 2 is where the number of kernels doubles; 4.5 M parameters are 18.0 MB, "
        "36.0 with one slot of an optimizer, 54.0 with Adam's two. `--model-option "
        "strides=(2,2,2,2,2,2,2)` and the rows named strides follow the text.",
        "They do not name the optimizer; here it is Adam.",
        "They give neither the factor of the decay nor the analysis of the spectrograms; here the "
        "rate decays to a tenth, and 128 mel bands, 64 ms every 32 ms at their sample rate of 20 "
        "kHz, are resized to 128 frames. The threshold of silence is ours too.",
        "AlexNet, VGG16 and ResNet50 have DSCNN's settings, as they give none of their own, and "
        "start from random initialization unless `--init MODEL=FILE` names ImageNet weights, which "
        "theirs start from.",
        "Training accuracies are those of the best epoch, minutes of one fold with compilation, on "
        "the device at hand; they do not say which epoch, how many folds, or which device.",
        "They do not mention speakers. With `random` folds all speakers are seen in training.",
    ),
    tuned=Tuned(
        {
            "schedule": "cosine",
            "batch_size": 32,
            "epochs": 120,
            "patience": 120,
            "weight_decay": 1e-2,
            "augment": "conservative",
        }
    ),
    small={
        "epochs": 1,
        "batch_size": 8,
        "image_size": (64, 64),
        "model_options": {"hidden": 16},
    },
    small_rows=("iemocap-clean", "ravdess-raw", "ravdess-clean", "cross-corpus"),
)
