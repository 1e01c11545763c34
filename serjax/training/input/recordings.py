"""The corpora of a run: read, checked, and divided as it asks."""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from serjax import classical, data
from serjax.data import Corpus, splits
from serjax.data.storage.lazy_waveforms import LazyWaveforms
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd

if TYPE_CHECKING:
    from serjax.training.config import RunConfig

_TARGETS = ("emotion", "speaker", "text")

RESIDENT_SAMPLES = 2**30
"""Corpora of more samples, 2 GiB or 19 hours at 16 kHz, are streamed if they are stored."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recordings:
    """What runs on the same corpora share, however they divide them.

    Attributes:
        corpora: The corpus, or the one that is trained and the one that is tested on.
        target: The column that is recognized.
        waveforms: float32 `[samples]` of every utterance, corpus after corpus; or where they are
            read from in every epoch anew.
        content: Hash of each waveform.
    """

    corpora: tuple[Corpus, ...]
    target: str
    waveforms: list[np.ndarray] | LazyWaveforms
    content: Sequence[str]


def tables(config: "RunConfig") -> tuple[tuple[Corpus, ...], str]:
    """Reads the tables of the run's corpora, and tells what is recognized.

    Utterances without the target, or of a class that the other corpus lacks, are left out.

    Raises:
        InputError: A corpus can't be read, or has nothing to recognize.
    """
    corpora = [data.load(config.data.dataset, config.data.data_dir, **config.data.dataset_options)]
    if config.data.test_dataset is not None:
        options = config.data.test_dataset_options
        corpora.append(data.load(config.data.test_dataset, config.data.test_dir, **options))
    if config.data.labels is not None:
        corpora = [data.labels.apply(corpus, config.data.labels) for corpus in corpora]
    target = _target(config, corpora[0])
    corpora = [_labelled(corpus, target) for corpus in corpora]
    if len(corpora) == 2:
        corpora = list(splits.shared_classes(corpora[0], corpora[1], target))
    return tuple(corpora), target


def read(config: "RunConfig", front_end: FrontEnd, console: Console) -> Recordings:
    """Reads and checks the run's corpora.

    Raises:
        InputError: Something about a corpus or its split does not allow the run.
    """
    if config.data.training_set_of is not None:
        return _training_part(config, config.data.training_set_of, front_end, console)
    corpora, target = tables(config)
    # A split that cannot be made is better refused before all is read.
    divide(config, corpora, target)
    unread = _unread(config, front_end, corpora)
    if unread is not None:
        return _streamed(corpora, target, unread, front_end, config.data.skip_bad_files)
    checked: list[Corpus] = []
    heard: list[np.ndarray] = []
    for corpus in corpora:
        with console.status(f"reading {len(corpus)} utterances of {corpus.name}"):
            corpus, waveforms = data.waveforms(
                corpus, front_end.sample_rate, skip_bad_files=config.data.skip_bad_files
            )
        lengths = [len(waveform) for waveform in waveforms]
        corpus, kept = _without_short(corpus, lengths, front_end, config.data.skip_bad_files)
        checked.append(corpus)
        heard += [waveforms[i] for i in kept]
    return Recordings(tuple(checked), target, heard, [*map(splits.content_hash, heard)])


def _training_part(
    config: "RunConfig", outer: "RunConfig", front_end: FrontEnd, console: Console
) -> Recordings:
    """What another run trains on, as far as it has this one's target."""
    whole = read(outer, front_end, console)
    crossing = divide(outer, whole.corpora, whole.target, whole.content)
    target = _target(config, crossing.corpus)
    values = crossing.corpus.column(target)
    part = [int(i) for i in crossing.split.train if values[i] is not None]
    corpus = _labelled(crossing.corpus.select(crossing.split.train), target)
    source = [crossing.indices[i] for i in part]
    return Recordings(
        (corpus,),
        target,
        selected(whole.waveforms, source),
        [whole.content[i] for i in source],
    )


def _unread(
    config: "RunConfig", front_end: FrontEnd, corpora: Sequence[Corpus]
) -> LazyWaveforms | None:
    """What corpora are streamed from; None where they are read once and stay on the device."""
    if config.system.stream is False:
        return None
    if config.system.stream is None:
        stored = all(corpus.measure is not None for corpus in corpora)
        whole = config.model.name in classical.names() or front_end.silence == "voiced"
        if whole or not stored:
            return None
    elif front_end.silence == "voiced":
        raise InputError(
            "stream: expected silence to be kept or removed, found voiced, which looks for voiced "
            "speech before training"
        )
    unread = LazyWaveforms.of(corpora, front_end.sample_rate)
    large = int(unread.lengths.sum()) > RESIDENT_SAMPLES
    return unread if config.system.stream or large else None


def _streamed(
    corpora: Sequence[Corpus], target: str, unread: LazyWaveforms, front_end: FrontEnd, skip: bool
) -> Recordings:
    """Corpora whose waveforms are read when they are heard."""
    checked: list[Corpus] = []
    kept: list[int] = []
    first = 0
    for corpus in corpora:
        lengths = unread.lengths[first : first + len(corpus)]
        one, places = _without_short(corpus, lengths, front_end, skip)
        checked.append(one)
        kept += [first + place for place in places]
        first += len(corpus)
    unread = unread.select(kept)
    return Recordings(tuple(checked), target, unread, unread.content)


def selected(
    waveforms: list[np.ndarray] | LazyWaveforms, indices: Sequence[int] | np.ndarray
) -> list[np.ndarray] | LazyWaveforms:
    """The waveforms at `indices`, in that order."""
    if isinstance(waveforms, LazyWaveforms):
        return waveforms.select(indices)
    return [waveforms[i] for i in indices]


def divide(
    config: "RunConfig",
    corpora: Sequence[Corpus],
    target: str,
    content: Sequence[Hashable] | None = None,
) -> splits.CorpusSplit:
    """Divides the corpora as the run asks.

    Returns:
        The split, the corpus it is of, and where each of its utterances stood in the given ones.

    Raises:
        SplitError: They can't be divided so.
    """
    if len(corpora) == 2:
        train, validation, _ = config.data.fractions
        return splits.split_cross_corpus(
            *corpora,
            split=config.data.split,
            target=target,
            validation=validation / (train + validation),
            seed=config.split_seed,
            content=content,
        )
    (corpus,) = corpora
    if config.data.fold is None:
        split = splits.split(
            corpus,
            config.data.split,
            target=target,
            fractions=config.data.fractions,
            seed=config.split_seed,
            content=content,
            split_file=config.data.split_file,
        )
    else:
        number, count = splits.parse_fold(config.data.fold)
        folds = splits.folds(
            corpus,
            config.data.split,
            target=target,
            folds=count,
            seed=config.split_seed,
            content=content,
        )
        if len(folds) != count:
            raise InputError(
                f"fold {config.data.fold}: {config.data.split} of {corpus.name} has {len(folds)} folds"
            )
        split = folds[number - 1]
    return splits.CorpusSplit(corpus, split, np.arange(len(corpus)))


def check_division(config: "RunConfig") -> None:
    """Finds by the tables alone, before a recording is opened, that a run cannot be divided.

    Raises:
        InputError: A corpus is not there, has nothing to recognize, or cannot be divided so.
    """
    divide(config, *tables(config))


def _target(config: "RunConfig", corpus: Corpus) -> str:
    """The column that is recognized: what was asked for, or what suits the corpus."""
    target = config.data.target or ("emotion" if corpus.labels("emotion") else "text")
    if target not in _TARGETS:
        raise InputError(unknown_name("target", target, _TARGETS))
    return target


def _labelled(corpus: Corpus, target: str) -> Corpus:
    """The utterances that have a target, with a note on the others."""
    named = [i for i, value in enumerate(corpus.column(target)) if value is not None]
    if not named:
        raise InputError(f"{corpus.name}: expected utterances with {target}, found none")
    if len(named) == len(corpus):
        return corpus
    note = f"{len(corpus) - len(named)} utterances without {target} left out"
    return dataclasses.replace(corpus.select(named), notes=(*corpus.notes, note))


def _without_short(
    corpus: Corpus, lengths: Sequence[int] | np.ndarray, front_end: FrontEnd, skip: bool
) -> tuple[Corpus, list[int]]:
    """Refuses utterances shorter than one analysis window, or leaves them out and notes it.

    Returns:
        The corpus without them, and where each of its utterances stood.
    """
    window = front_end.window_samples
    short = [i for i, length in enumerate(lengths) if length < window]
    if not short:
        return corpus, list(range(len(corpus)))
    first = corpus.utterances[short[0]].path
    found = (
        f"{first}: expected at least one window of {window} samples at {front_end.sample_rate} Hz, "
        f"found {lengths[short[0]]}"
    )
    if not skip:
        raise InputError(f"{found}; {len(short)} such; --skip-bad-files trains on the rest")
    keep = sorted(set(range(len(corpus))) - set(short))
    notes = [f"skipped, too short: {corpus.utterances[i].path}" for i in short]
    kept = dataclasses.replace(corpus.select(keep), notes=(*corpus.notes, *notes))
    return kept, keep
