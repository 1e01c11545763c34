"""Padi, Sadjadi, Manocha and Sriram, "Improved speech emotion recognition using transfer learning
and spectrogram augmentation", ICMI 2021.

ResNet34 with statistics pooling on 128 log-mel bands, chunks of 150 to 300 frames in training and
whole utterances at test, SpecAugment; leave one session out on IEMOCAP.

    python experiments/reproduce.py padi2021 --data-dir iemocap=IEMOCAP
    python experiments/reproduce.py padi2021 --embedded --scale small

It needs IEMOCAP.
"""

from typing import Any

from recipes import Recipe, Row

_CONFIG: dict[str, Any] = {
    "model": "resnet34_stats",
    "dataset": "iemocap",
    "split": "leave_one_session_out",
    "optimizer": "sgd",
    "learning_rate": 1e-2,
    "schedule": "staircase",
    "staircase": (8, 2, 0.5),
    "batch_size": 32,
    "epochs": 30,
    "augmentation": "conservative",
}


def _row(number: int, classes: str, wa: float, ua: float) -> Row:
    config = {**_CONFIG, "labels": f"iemocap_exp{number}"}
    return Row(f"exp{number}", f"Exp {number} ({classes})", config, {"wa": wa, "ua": ua})


RECIPE = Recipe(
    title="Padi et al., ICMI 2021, Table 3",
    corpora={
        "iemocap": "the folder with Session1 to Session5, on request from https://sail.usc.edu/iemocap"
    },
    rows=(
        _row(1, "A, H, S, N", 66.02, 61.61),
        _row(2, "A, E, S, N", 65.62, 65.56),
        _row(3, "A, H+E, S, N", 63.61, 64.14),
    ),
    deviations=(
        "Theirs starts from a network trained on VoxCeleb's speakers; here `--init RUN`, of "
        "`pretrain.py --task speaker --model resnet34_stats --dataset voxceleb`, does so, and "
        "without it the weights are from chance.",
        "They add two augmented copies of every utterance; here every utterance is augmented anew "
        "in every epoch.",
        "They do not say when training stops, nor name a validation part: here one of the four "
        "sessions validates, and the best of at most 30 epochs is tested.",
    ),
    small={"epochs": 2},
)
