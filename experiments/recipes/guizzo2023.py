"""Guizzo, Weyde, Tarroni and Comminiello, "Quaternion anti-transfer learning for speech emotion
recognition", WASPAA 2023.

VGG16, real and quaternion, kept unlike networks that tell speakers (S), words (W), or one after
the other; on utterances at random and on actors that training never heard. Each row is at the
layer that the paper's validation chose; `anti_transfer.py` goes through all 13, as Figure 2.

    python experiments/reproduce.py guizzo2023 --data-dir iemocap=DIR --data-dir ravdess=DIR
        --data-dir tess=DIR --data-dir librispeech_words=DIR
    python experiments/reproduce.py guizzo2023 --data-dir ravdess=DIR --only ravdess-quat-none-actor
    python experiments/reproduce.py guizzo2023 --embedded --scale small

It needs IEMOCAP, RAVDESS and TESS for their rows, and LibriSpeech with its word alignments for
teachers like theirs.
"""

from collections.abc import Iterator
from typing import Any

from recipes import IEMOCAP, RAVDESS, TESS, AntiTransferAt, Recipe, Row

# Corpus -> (network, method, accuracy in % and layer of the random split, the same by actor). The
# layer is the one with the best validation accuracy.
_TABLE_1 = {
    "iemocap": (
        ("vgg16", "none", 62.87, None, 58.29, None),
        ("vgg16", "single-s", 72.86, 11, 59.27, 10),
        ("vgg16", "single-w", 70.09, 1, 59.35, 11),
        ("vgg16", "dual-sw", 73.04, 11, 60.41, 9),
        ("vgg16", "dual-ws", 71.07, 8, 59.67, 8),
        ("quat_vgg16", "none", 71.1, None, 57.8, None),
        ("quat_vgg16", "single-s", 72.23, 11, 58.37, 12),
        ("quat_vgg16", "single-w", 73.57, 2, 57.97, 13),
        ("quat_vgg16", "dual-sw", 71.25, 5, 58.46, 12),
        ("quat_vgg16", "dual-ws", 72.14, 4, 58.62, 9),
    ),
    "ravdess": (
        ("vgg16", "none", 41.06, None, 45.0, None),
        ("vgg16", "single-s", 49.56, 2, 46.67, 9),
        ("vgg16", "single-w", 42.89, 9, 41.67, 1),
        ("vgg16", "dual-sw", 45.56, 2, 40.62, 2),
        ("vgg16", "dual-ws", 46.22, 1, 43.75, 9),
        ("quat_vgg16", "none", 49.85, None, 36.67, None),
        ("quat_vgg16", "single-s", 57.11, 2, 51.67, 2),
        ("quat_vgg16", "single-w", 55.11, 12, 48.33, 13),
        ("quat_vgg16", "dual-sw", 57.78, 3, 55.0, 2),
        ("quat_vgg16", "dual-ws", 60.44, 11, 46.67, 2),
    ),
    "tess": (
        ("vgg16", "none", 97.62, None, 14.29, None),
        ("vgg16", "single-s", 99.64, 3, 13.29, 4),
        ("vgg16", "single-w", 99.64, 3, 26.43, 4),
        ("vgg16", "dual-sw", 100.0, 3, 21.0, 2),
        ("vgg16", "dual-ws", 100.0, 3, 25.57, 6),
        ("quat_vgg16", "none", 97.62, None, 13.86, None),
        ("quat_vgg16", "single-s", 97.86, 1, 19.43, 11),
        ("quat_vgg16", "single-w", 98.57, 11, 18.29, 4),
        ("quat_vgg16", "dual-sw", 98.93, 2, 19.0, 11),
        ("quat_vgg16", "dual-ws", 97.86, 9, 18.29, 3),
    ),
}


def table_1(corpus: str) -> dict[tuple[str, str, str], tuple[float, int | None]]:
    """(model, method, split) -> accuracy in % and layer; empty for a corpus it does not have."""
    table: dict[tuple[str, str, str], tuple[float, int | None]] = {}
    for model, method, random, random_layer, speaker, speaker_layer in _TABLE_1.get(corpus, ()):
        table[model, method, "random"] = random, random_layer
        table[model, method, "speaker"] = speaker, speaker_layer
    return table


_CONFIG: dict[str, Any] = {
    "learning_rate": 1e-5,
    "schedule": "constant",
    "batch_size": 20,
    "patience": 20,
    "epochs": 500,
    "fractions": (0.7, 0.2, 0.1),
    "model_options": {"dropout_rate": 0.5},
}
_CORPUS: dict[str, dict[str, Any]] = {
    "iemocap": {"dataset": "iemocap", "labels": "iemocap_exp1"},
    "ravdess": {"dataset": "ravdess"},
    "tess": {"dataset": "tess"},
}
_NETWORK: dict[str, dict[str, Any]] = {
    "vgg16": {"model": "vgg16"},
    "quat_vgg16": {"model": "quat_vgg16", "embedding": "pretrained"},
}
_SHORT = {"vgg16": "real", "quat_vgg16": "quat", "random": "random", "speaker": "actor"}


def _rows() -> Iterator[Row]:
    for corpus in _TABLE_1:
        for (model, method, split), (accuracy, layer) in table_1(corpus).items():
            if corpus == "tess" and split == "speaker":
                continue  # two actresses do not make three parts
            network, division = _SHORT[model], _SHORT[split]
            at = "" if layer is None else f" at layer {layer}"
            yield Row(
                f"{corpus}-{network}-{method}-{division}",
                f"{corpus.upper()}, {model}, {method}{at}, by {split}",
                {**_CONFIG, **_CORPUS[corpus], **_NETWORK[model], "split": split},
                {"wa": accuracy},
                anti_transfer=AntiTransferAt(method, layer),
            )


RECIPE = Recipe(
    title="Guizzo et al., WASPAA 2023, Table 1",
    corpora={
        "iemocap": IEMOCAP,
        "ravdess": RAVDESS,
        "tess": TESS,
        "librispeech_words": "LibriSpeech and its word alignments, side by side, "
        "https://www.openslr.org/12 and https://zenodo.org/records/2619474",
    },
    rows=tuple(_rows()),
    deviations=(
        "Their teacher of words hears 1,000 words of LibriSpeech; so does ours, and that of "
        "speakers, where `--data-dir librispeech_words=DIR` is given. Without it each row's own "
        "training part makes its teachers.",
        "Their RH-emo is pretrained on IEMOCAP; here the encoder that ships with the library, "
        "trained on EMO-DB, starts the quaternion networks. `--init quat_vgg16=RUN`, of "
        "`pretrain.py --task rhemo --dataset iemocap`, starts them as theirs.",
        "Where no weights are given, a student begins with its teacher's encoder, so that both "
        "hear the same.",
        "They choose each layer by validation among 13; here the layer is the one that they found.",
        "TESS by actor is left out: with two actresses, training, validation and test cannot all "
        "have their own, and the paper does not say what was divided.",
        "They do not say which emotions of IEMOCAP they recognize (here anger, happiness, "
        "neutral, sadness), nor the most epochs (here 500, which early stopping does not reach).",
        "Every Gram matrix is of one example, as the paper's equation has it.",
        "Utterances longer than 4 s are cut into equal stretches that overlap a little instead "
        "of leaving a rest, and their predictions are averaged.",
    ),
    small={"epochs": 1, "batch_size": 8, "model_options": {"hidden": 32}},
    small_rows=("ravdess-quat-none-random", "ravdess-quat-single-s-actor"),
    teachers="librispeech_words",
    teacher_options={"words": 1000},
)
