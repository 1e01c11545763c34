"""Corpora, the splits of them, and the batches made of those."""

import inspect
from pathlib import Path
from typing import Any

from serjax.data import labels, splits
from serjax.data.corpora import LOADERS
from serjax.data.corpus import Corpus, CorpusError, Utterance, waveforms
from serjax.errors import unknown_name

__all__ = ["Corpus", "CorpusError", "Utterance", "labels", "load", "names", "splits", "waveforms"]


def load(name: str, data_dir: str | Path | None = None, **options: Any) -> Corpus:
    """Reads a corpus's table. No recording is opened.

    Args:
        name: One of `names()`.
        data_dir: The folder the corpus lies in, or a CSV file; None for one that takes none.
        **options: The corpus's own, described at its loader.

    Raises:
        CorpusError: The name or an option is unknown, or the folder does not hold the corpus.
    """
    if name not in LOADERS:
        raise CorpusError(unknown_name("dataset", name, names()))
    loader = LOADERS[name]
    known = inspect.signature(loader).parameters
    if data_dir is not None and "data_dir" not in known:
        raise CorpusError(f"{name} takes no data directory; found {data_dir}")
    for option in options:
        if option not in known:
            raise CorpusError(unknown_name(f"option of {name}", option, known))
    if "data_dir" in known:
        options["data_dir"] = data_dir
    try:
        return loader(**options)
    except TypeError as error:  # an option of a type that it does not take
        raise CorpusError(f"options of {name}, {options}: {error}") from error


def names() -> tuple[str, ...]:
    """Returns the names of the corpora, sorted."""
    return tuple(sorted(LOADERS))
