"""Padi, Sadjadi, Manocha and Sriram, "Improved speech emotion recognition using transfer learning
and spectrogram augmentation", ICMI 2021.

ResNet34 with statistics pooling takes 128 log-mel bands, in chunks of 150 to 300 frames in training
and whole utterances at test, with SpecAugment and transfer from speaker recognition, which trains
new dense layers on a frozen network. The tables have leave-one-session-out on IEMOCAP, and folds of
all utterances with and without each component. docs/recipes/padi2021.md compares the recipe with
the paper, element by element.

    serjax reproduce padi2021 --data-dir iemocap=IEMOCAP --data-dir voxceleb=VOXCELEB
    serjax reproduce padi2021 --data-dir iemocap=IEMOCAP --init resnet34_stats=RUN
    serjax reproduce padi2021 --bundled --scale small

It needs IEMOCAP, and for the transfer VoxCeleb or runs of `serjax pretrain --task speaker --model
resnet34_stats` (`--init resnet34_mean=RUN`, with `--model-option pooling=mean`, for rows without
statistics pooling).
"""

import itertools
from collections.abc import Iterator
from typing import Any

from serjax.recipes import IEMOCAP, VOXCELEB, Recipe, Row, Tuned
from serjax.report import Confusion, Figures

_TRAINING: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 1e-2,
    "schedule": "step_decay",
    "step_decay": (8, 2, 0.5),
    "batch_size": 32,
    "epochs": 30,
}
# "We generate and augment two spectro-temporally modified versions" of each segment (section 4.2).
_AUGMENTATION = {"augment": "conservative", "augment_copies": 2}
# "We replace the FC layers of the pre-trained model with new randomly initialized FC layers" and
# "re-train the new FC layers" (section 3.2).
_TRANSFER = {"fresh": ("dense1.*", "head"), "freeze": {"dense1.*|head": 0, ".*": None}}
_CONFIG = {**_TRAINING, "model": "resnet34_stats", "dataset": "iemocap"}
_EXPERIMENTS = {1: "A, H, S, N", 2: "A, E, S, N", 3: "A, H+E, S, N"}


def _table_3() -> Iterator[Row]:
    for number, classes in _EXPERIMENTS.items():
        fields = {"labels": f"iemocap_exp{number}", "split": "leave_one_session_out"}
        config = {**_CONFIG, **fields, **_AUGMENTATION}
        yield Row(f"exp{number}", f"Exp {number} ({classes})", config, transfer=_TRANSFER)


def _figure_4() -> Iterator[Row]:
    for number, *parts in itertools.product(_EXPERIMENTS, *[(False, True)] * 3):
        transfer, augmentation, statistics = parts
        names = [name for name, has in zip(("tl", "aug", "sp"), parts, strict=True) if has]
        config = {
            **_CONFIG,
            "labels": f"iemocap_exp{number}",
            "split": "random",
            **(_AUGMENTATION if augmentation else {}),
            "model_options": {"pooling": "statistics" if statistics else "mean"},
        }
        yield Row(
            f"exp{number}-{'-'.join(names) or 'plain'}",
            f"Exp {number}, {' + '.join(names).upper() or 'none of them'}",
            config,
            folds=5,
            initialization="required" if transfer else "random",
            network=None if statistics else "resnet34_mean",
            transfer=_TRANSFER,
        )


RECIPE = Recipe(
    title="Padi et al., ICMI 2021",
    corpora={"iemocap": IEMOCAP, "voxceleb": VOXCELEB},
    rows=(*_table_3(), *_figure_4()),
    tables=(
        Figures(
            "Table 3, Exp 1",
            {"exp1": {"mean_wa": 66.02, "mean_ua": 61.61, "wa": None, "ua": None}},
            {
                "BLSTM, attention (Huang & Narayanan 2016)": {"mean_wa": 59.33, "mean_ua": 49.96},
                "Transformer (Tarantino et al. 2019)": {"mean_wa": 59.43, "mean_ua": 58.01},
                "BLSTM, local attention (Mirsamadi et al. 2017)": {
                    "mean_wa": 63.5,
                    "mean_ua": 58.8,
                },
                "BLSTM, attention (Ramet et al. 2018)": {"mean_wa": 62.5, "mean_ua": 59.6},
            },
        ),
        Figures(
            "Table 3, Exp 2",
            {"exp2": {"mean_wa": 65.62, "mean_ua": 65.56, "wa": None, "ua": None}},
            {
                "CTC-BLSTM (Chernykh & Prikhodko 2017)": {"mean_ua": 54},
                "BLSTM, attention (Tripathi et al. 2018)": {"mean_ua": 55.65},
                "Transformer (Tarantino et al. 2019)": {"mean_wa": 64.33, "mean_ua": 64.79},
            },
        ),
        Figures(
            "Table 3, Exp 3",
            {"exp3": {"mean_wa": 63.61, "mean_ua": 64.14, "wa": None, "ua": None}},
            {
                "BLSTM, transfer (Ghosh et al. 2016)": {"mean_wa": 50.47, "mean_ua": 51.86},
                "VGG19, GAN (Chatziagapi et al. 2019)": {"mean_ua": 54.6},
                "CNN, attention (Neumann & Vu 2017)": {"mean_wa": 56.10},
                "BLSTM, self-attention (Feng et al. 2020)": {"mean_wa": 55.7, "mean_ua": 57.0},
                "CNN, attention (Neumann & Vu 2019)": {"mean_ua": 59.54},
                "ResTDNN (Wu et al. 2021)": {"mean_wa": 60.64, "mean_ua": 61.32},
            },
        ),
        *(
            Confusion(f"Figure 3 ({'abc'[number - 1]}): confusion of Exp {number}", f"exp{number}")
            for number in _EXPERIMENTS
        ),
        *(
            Figures(
                f"Figure 4, Exp {number}: transfer (TL), augmentation (AUG), statistics (SP)",
                {r.name: {"mean_wa": None} for r in _figure_4() if r.name[3] == str(number)},
            )
            for number in _EXPERIMENTS
        ),
    ),
    deviations=(
        "Theirs starts from a network trained on the 7,000 speakers of VoxCeleb 1 and 2. Here "
        "`--data-dir voxceleb=DIR` trains one on VoxCeleb1's, 94 % of their utterances, or "
        "`--init` names one; without either, Table 3 starts from random weights, and Figure 4 has "
        "no rows with transfer.",
        "The copies of a segment are augmented differently in every epoch, and so may theirs be.",
        "Segments shorter than a chunk are masked where theirs are padded.",
        "They do not say when training stops, nor name a validation set. Here it is one of four "
        "sessions, or of Figure 4's five folds, and the best of at most 30 epochs is tested.",
        "They do not say what replaces statistics pooling: here the mean over positions of "
        "ResNet34, in the pretraining too. Both pretrainings are augmented.",
        "Augmentation is the conservative policy; they do not say which one their figures have.",
        "Figure 4's five runs are the five folds of one split.",
    ),
    tuned=Tuned({"optimizer": "adam", "learning_rate": 1e-3, "schedule": "cosine", "epochs": 60}),
    small={
        "epochs": 1,
        "batch_size": 8,
        "model_options": {"channels": 8, "blocks": (1, 1, 1, 1), "hidden": 16},
    },
    small_rows=("exp1", "exp1-plain", "exp1-tl-aug-sp"),
    pretraining={
        **_TRAINING,
        "dataset": "voxceleb",
        "target": "speaker",
        "split": "random",
        "fractions": (0.94, 0.03, 0.03),
        **_AUGMENTATION,
    },
)
