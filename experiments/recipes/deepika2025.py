"""Deepika and Kuchibhotla, "Enhanced speech emotion recognition using audio signal processing with
CNN assistance", Data and Metadata 4:715, 2025.

DSCNN, seven strided convolutions on spectrograms: raw ones against clean ones, whose silence an
adaptive threshold removes; five folds of utterances, and a test across corpora.

    python experiments/reproduce.py deepika2025 --data-dir iemocap=DIR --data-dir ravdess=DIR
    python experiments/reproduce.py deepika2025 --data-dir ravdess=DIR --only ravdess-clean
    python experiments/reproduce.py deepika2025 --embedded --scale small

It needs IEMOCAP (4 classes) and RAVDESS.
"""

from typing import Any

from recipes import Recipe, Row

_CONFIG: dict[str, Any] = {
    "model": "dscnn",
    "split": "random",
    "learning_rate": 1e-3,
    "schedule": "staircase",
    "staircase": (15, 15, 0.1),
    "batch_size": 128,
    "epochs": 50,
    "patience": 50,
    "model_options": {"dropout_rate": 0.25},
}
_IEMOCAP = {**_CONFIG, "dataset": "iemocap", "labels": "iemocap_exp1"}
_RAVDESS = {**_CONFIG, "dataset": "ravdess"}

RECIPE = Recipe(
    title="Deepika & Kuchibhotla 2025, Tables 1 and 7",
    corpora={
        "iemocap": "the folder with Session1 to Session5, on request from https://sail.usc.edu/iemocap",
        "ravdess": "Audio_Speech_Actors_01-24.zip, https://zenodo.org/records/1188976",
    },
    rows=(
        Row(
            "iemocap-raw",
            "IEMOCAP, raw spectrograms",
            {**_IEMOCAP, "silence": "keep"},
            {"wa": 77, "ua": 73, "f1_weighted": 80},
            folds=5,
        ),
        Row(
            "iemocap-clean",
            "IEMOCAP, clean spectrograms",
            {**_IEMOCAP, "silence": "remove"},
            {"wa": 85, "ua": 78, "f1_weighted": 85},
            folds=5,
        ),
        Row(
            "ravdess-raw",
            "RAVDESS, raw spectrograms",
            {**_RAVDESS, "silence": "keep"},
            {"wa": 69, "ua": 83, "f1_weighted": 71},
            folds=5,
        ),
        Row(
            "ravdess-clean",
            "RAVDESS, clean spectrograms",
            {**_RAVDESS, "silence": "remove"},
            {"wa": 82, "ua": 63, "f1_weighted": 85},
            folds=5,
        ),
        Row(
            "cross-corpus",
            "trained on IEMOCAP, tested on RAVDESS",
            {**_IEMOCAP, "silence": "remove", "test_dataset": "ravdess"},
            {"wa": 57.5},
        ),
    ),
    deviations=(
        "They name recall per class 'weighted' and the share of right utterances 'unweighted' "
        "accuracy; their figures stand here as they print them, ours by the field's usual names.",
        "Folds are 60 % training, 20 % validation and 20 % test; theirs have no validation part, "
        "and shares that do not add up (85 and 20 %).",
        "They give neither the factor of the decay nor the analysis of the spectrograms; here the "
        "rate falls to a tenth, and 128 mel bands see 64 ms every 32 ms.",
        "They say nothing of speakers: by `random` folds, as here, training hears all of them.",
    ),
    small={"epochs": 4, "batch_size": 20},
)
