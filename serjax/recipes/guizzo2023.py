"""Guizzo, Weyde, Tarroni and Comminiello, "Quaternion anti-transfer learning for speech emotion
recognition", WASPAA 2023.

VGG16, real and quaternion, is trained to be dissimilar from networks that recognize speakers (S),
words (W), or one after the other, on random splits and on unseen actors. Each row of Table 1 uses
the layer that the paper's validation set selected; Figure 2, which only runs on request, tries all
13.

    serjax reproduce guizzo2023 --data-dir iemocap=DIR --data-dir ravdess=DIR
        --data-dir tess=DIR --data-dir librispeech_words=DIR
    serjax reproduce guizzo2023 --data-dir ravdess=DIR --only ravdess-quat-none-actor
    serjax reproduce guizzo2023 --only 'figure-2-*' --data-dir iemocap=DIR --data-dir ravdess=DIR
        --data-dir tess=DIR --data-dir librispeech_words=DIR
    serjax reproduce guizzo2023 --bundled --scale small
    python benchmarks/run.py --suite models --models vgg16,quat_vgg16

The last one is the time and memory of section 3.2.3.

It needs IEMOCAP, RAVDESS and TESS for their rows, and LibriSpeech with its word alignments for
source-task networks like theirs.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from serjax.recipes import IEMOCAP, RAVDESS, TESS, AntiTransferAt, Recipe, Row, Tuned
from serjax.report import Figures, LayerGains

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
    """Returns (model, method, split) -> accuracy in % and layer; empty for another corpus."""
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
    "monitor": "loss",
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


# Column "Params" of Table 1, in millions.
_MILLIONS = {"vgg16": 160.0, "quat_vgg16": 10.0}

# Methods of Figure 2, and those that show the effect of the encoder without anti-transfer.
_FIGURE_2 = ("none", "single-s", "single-w")
_ENCODERS = ("encoder-s", "encoder-w")

# Networks of RH-emo's own paper (Guizzo et al. 2022), whose figures are for other splits.
_OTHERS = {"alex": "quat_alexnet", "res": "quat_resnet50"}


def _name(corpus: str, model: str, method: str, split: str) -> str:
    return f"{corpus}-{_SHORT[model]}-{method}-{_SHORT[split]}"


def _shown(corpus: str) -> Iterator[tuple[str, str, str]]:
    """Yields model, method and split of the rows of a corpus."""
    for model, method, split in table_1(corpus):
        if corpus == "tess" and split == "speaker":
            continue  # two actresses cannot be split into three sets
        yield model, method, split


def _table_1() -> Iterator[Row]:
    for corpus in _TABLE_1:
        for model, method, split in _shown(corpus):
            _, layer = table_1(corpus)[model, method, split]
            at = "" if layer is None else f" at layer {layer}"
            yield _single(corpus, model, method, split, layer, at)


def _single(
    corpus: str, model: str, method: str, split: str, layer: int | None = None, at: str = ""
) -> Row:
    return Row(
        _name(corpus, model, method, split),
        f"{corpus.upper()}, {model}, {method}{at}, by {split}",
        {**_CONFIG, **_CORPUS[corpus], **_NETWORK[model], "split": split},
        anti_transfer=AntiTransferAt(method, layer),
        initialization="given",
    )


def _encoders() -> Iterator[Row]:
    """Yields the quaternion networks without anti-transfer from the encoder of another task."""
    for corpus in _TABLE_1:
        for model, method, split in _shown(corpus):
            if (model, method) == ("quat_vgg16", "none"):
                for encoder in _ENCODERS:
                    yield _single(corpus, model, encoder, split)


def _from_iemocap() -> Iterator[Row]:
    """Yields section 3.2.1's baselines, which start from weights trained on IEMOCAP."""
    for corpus in ("ravdess", "tess"):
        for model, method, split in _shown(corpus):
            if method == "none":
                row = _single(corpus, model, method, split)
                yield dataclasses.replace(
                    row,
                    name=f"{row.name}-iemocap",
                    title=f"{row.title}, from IEMOCAP",
                    initialization="required",
                    network=f"{model}_iemocap",
                )


def _figure_2() -> Iterator[Row]:
    for corpus in _TABLE_1:
        for model, method, split in _shown(corpus):
            if method == "none":
                row = _single(corpus, model, method, split)
                yield dataclasses.replace(
                    row,
                    name=f"figure-2-{corpus}-{_SHORT[model]}-{_SHORT[split]}",
                    title=f"{corpus.upper()}, {model}, all layers, by {split}",
                    anti_transfer=None,
                    sweep_methods=_FIGURE_2,
                    on_request=True,
                )


def _others() -> Iterator[Row]:
    for corpus in _TABLE_1:
        for short, model in _OTHERS.items():
            network = {"model": model, "embedding": "pretrained"}
            yield Row(
                f"{corpus}-{short}-none-random",
                f"{corpus.upper()}, {model}, none, by random",
                {**_CONFIG, **_CORPUS[corpus], **network, "split": "random", "model_options": {}},
                anti_transfer=AntiTransferAt("none", None),
                initialization="given",
            )


def _tables() -> Iterator[Figures | LayerGains]:
    for corpus in _TABLE_1:
        published = {
            _name(corpus, *key): {
                "wa": table_1(corpus)[key][0],
                "parameters": _MILLIONS[key[0]],
            }
            for key in _shown(corpus)
        }
        yield Figures(f"Table 1: {corpus.upper()}", published)
    yield LayerGains(
        "Figure 2: gain at each layer, mean over the corpora",
        tuple(row.name for row in _figure_2()),
        "figure-2.png",
    )
    for title, rows in (
        ("Effect of the encoder without anti-transfer", _encoders()),
        ("Section 3.2.1: baselines that start from IEMOCAP", _from_iemocap()),
        ("RH-emo encoder with other networks", _others()),
    ):
        yield Figures(title, {row.name: {"wa": None} for row in rows})


RECIPE = Recipe(
    title="Guizzo et al., WASPAA 2023",
    corpora={
        "iemocap": IEMOCAP,
        "ravdess": RAVDESS,
        "tess": TESS,
        "librispeech_words": "LibriSpeech and its word alignments, side by side, "
        "https://www.openslr.org/12 and https://zenodo.org/records/2619474",
    },
    rows=(*_table_1(), *_encoders(), *_from_iemocap(), *_others(), *_figure_2()),
    tables=tuple(_tables()),
    deviations=(
        "Their network for words is trained on 1,000 words of LibriSpeech. Ours for words and "
        "speakers are too if `--data-dir librispeech_words=DIR` is given, otherwise on "
        "each row's own training set.",
        "Their RH-emo is pretrained on IEMOCAP; here the quaternion networks start from the "
        "shipped encoder, trained on EMO-DB. `--init quat_vgg16=RUN`, with a run of `serjax "
        "pretrain --task rhemo --dataset iemocap`, starts them as theirs.",
        "They do not say whether RH-emo trains together with the networks for speakers and words; "
        "here it stays as it is, so networks with and without anti-transfer start from the same "
        "encoder. The rows `encoder-s` and `encoder-w` start from encoders that trained with them, "
        "without anti-transfer.",
        "They select one of 13 layers by validation; here Table 1 has the layer that they "
        "selected. Figure 2 has all 13.",
        "TESS by actor is left out: with two actresses, training, validation and test set cannot "
        "have different speakers, and the paper does not say how it was split.",
        "They do not say which emotions of IEMOCAP they recognize (here anger, happiness, "
        "neutral, sadness), nor the maximum number of epochs (here 500; early "
        "stopping ends before).",
        "Every Gram matrix belongs to one example, as in the paper's equation.",
        "Utterances longer than 4 s are cut into equal segments that overlap a little instead "
        "of leaving a remainder, and their predictions are averaged.",
    ),
    tuned=Tuned(
        {
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "epochs": 60,
            "patience": 60,
            "monitor": "ua",
            "augment": "conservative",
        }
    ),
    small={"epochs": 1, "batch_size": 8, "model_options": {"hidden": 32}},
    small_rows=("ravdess-quat-none-random", "ravdess-quat-single-s-actor"),
    source_corpus="librispeech_words",
    source_options={"words": 1000},
    pretraining={**_CONFIG, **_CORPUS["iemocap"], "split": "random"},
    elsewhere=(
        "Section 3.2.3, 80.5 % less time and 53.7 % less memory of the quaternion network: `python "
        "benchmarks/run.py --suite models --models vgg16,quat_vgg16` measures both.",
    ),
)
