"""Corpora, the splits of them, and the batches made of those."""

import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from serjax.data import labels, splits
from serjax.data.corpora import LOADERS
from serjax.data.corpus import Corpus, CorpusError, Utterance, waveforms
from serjax.data.origin import corpora_of
from serjax.data.storage.store import Stored, open_stored
from serjax.errors import unknown_name

if TYPE_CHECKING:
    from serjax.data.storage.builder import CorpusBuilder

__all__ = [
    "Corpus",
    "CorpusError",
    "Stored",
    "Utterance",
    "build",
    "corpora_of",
    "labels",
    "load",
    "names",
    "open_stored",
    "source",
    "splits",
    "waveforms",
]


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
    _check_kinds(name, loader, options)
    if "data_dir" in known:
        options["data_dir"] = data_dir
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise CorpusError(f"{name}: expected the option {option}, found none")
    return loader(**options)


_KINDS: dict[type, tuple[str, type]] = {
    int: ("a whole number", numbers.Integral),
    float: ("a number", numbers.Real),
    str: ("a word", str),
    NoneType: ("None", NoneType),
}


def _check_kinds(name: str, loader: Callable[..., Corpus], options: Mapping[str, Any]) -> None:
    """Raises CorpusError for an option's value that is not of the kind that the loader takes."""
    hints = get_type_hints(loader)
    for option, value in options.items():
        hint = hints[option]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        taken = [_KINDS[kind] for kind in kinds if kind in _KINDS]
        if taken and not isinstance(value, tuple(kind for _, kind in taken)):
            expected = " or ".join(words for words, _ in taken)
            raise CorpusError(f"{name}, option {option}: expected {expected}, found {value!r}")


def names() -> tuple[str, ...]:
    """Returns the names of the corpora, sorted."""
    return tuple(sorted(LOADERS))


def build(
    name: str,
    data_dir: str | Path | None,
    out: str | Path,
    *,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
    **options: Any,
) -> "CorpusBuilder":
    """Stores a corpus as a TFDS dataset of array_record files, without TensorFlow.

    Args:
        name: One of `names()`.
        data_dir: The folder the corpus lies in, or a CSV file; None for one that is generated.
        out: The folder to write to.
        sample_rate: Of the stored waveforms, in Hz.
        skip_bad_files: Leave out what can't be read, and note it.
        **options: The corpus's own, described at its loader.

    Returns:
        The dataset's TFDS builder.

    Raises:
        CorpusError: The corpus can't be loaded, or another state of it is stored there.
        serjax.audio.AudioError: A recording can't be read.
    """
    from serjax.data.storage import builder

    corpus = load(name, data_dir, **options)
    return builder.write(corpus, out, sample_rate=sample_rate, skip_bad_files=skip_bad_files)


def source(out: str | Path) -> Sequence[Mapping[str, Any]]:
    """Opens what `build` wrote as a TFDS data source: records by random access.

    Args:
        out: The folder that was written to.

    Returns:
        A sequence of records, dicts of NumPy values: see `serjax.data.storage.store.Stored.source`.

    Raises:
        CorpusError: The folder does not hold one dataset that serjax wrote.
    """
    return open_stored(out).source
