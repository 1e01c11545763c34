"""Corpora, their splits, and the batches made of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

# Importing the packages of the corpora registers their loaders.
from serjax.data import corpora, labels, splits, synthetic
from serjax.data.corpus import (
    Corpus,
    CorpusError,
    Identity,
    Utterance,
    corpus_of_files,
    drop_unreadable,
    waveforms,
)
from serjax.data.join import join
from serjax.data.origin import corpora_of, is_shareable
from serjax.data.registry import Published, load, names, register
from serjax.data.storage.store import Stored, open_stored

if TYPE_CHECKING:
    from serjax.data.storage.builder import CorpusBuilder

__all__ = [
    "Corpus",
    "CorpusError",
    "Identity",
    "Published",
    "Stored",
    "Utterance",
    "build",
    "corpora",
    "corpora_of",
    "corpus_of_files",
    "drop_unreadable",
    "is_shareable",
    "join",
    "labels",
    "load",
    "names",
    "open_stored",
    "register",
    "source",
    "splits",
    "synthetic",
    "waveforms",
]


def build(
    name: str,
    data_dir: str | Path | None,
    out: str | Path,
    *,
    label_set: str | None = None,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
    **options: object,
) -> "CorpusBuilder":
    """Stores a corpus as a TFDS dataset of array_record files, without TensorFlow.

    Args:
        name: One of `names()`.
        data_dir: Folder of the corpus, or CSV file; None for a generated corpus.
        out: Folder to write to.
        label_set: One of `labels.names()`, the emotions that are stored and their classes; None:
            all utterances.
        sample_rate: Sample rate of the stored waveforms, in Hz.
        skip_bad_files: Skip unreadable recordings and list them in the notes, instead of raising.
        **options: Options of the corpus, described at its loader.

    Returns:
        The TFDS builder of the dataset.

    Raises:
        CorpusError: The corpus cannot be loaded, or another state of it is stored there.
        serjax.audio.AudioError: A recording cannot be read.
    """
    from serjax.data.storage import builder

    corpus = load(name, data_dir, **options)
    if label_set is not None:
        corpus = labels.apply(corpus, label_set)
    return builder.write(corpus, out, sample_rate=sample_rate, skip_bad_files=skip_bad_files)


def source(out: str | Path) -> Sequence[Mapping[str, np.ndarray | bytes | int | float]]:
    """Opens a dataset written by `build` as a TFDS data source: records by random access.

    Args:
        out: Folder that the dataset was written to.

    Returns:
        A sequence of records, dicts of NumPy values: see `serjax.data.storage.store.Stored.source`.

    Raises:
        CorpusError: The folder does not hold exactly one dataset that serjax wrote.
    """
    return open_stored(out).source
