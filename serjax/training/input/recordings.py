"""Recordings of a run: its corpora, read, checked and split as the configuration asks."""

import dataclasses
import functools
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from serjax import data
from serjax.console import Console
from serjax.data import Corpus, splits
from serjax.data.batches import from_int16
from serjax.data.corpus import READERS
from serjax.data.storage.lazy_waveforms import LazyWaveforms
from serjax.errors import InputError, unknown_name
from serjax.features.front_ends import FrontEnd

if TYPE_CHECKING:
    from serjax.training.config import RunConfig

_TARGETS = ("emotion", "speaker", "text")

RESIDENT_SAMPLES = 2**30
"""Most samples that stay in memory, 2 GiB or 19 hours at 16 kHz; larger stored corpora are
streamed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Recordings:
    """Recordings that several runs on the same corpora share, whatever their splits.

    Attributes:
        corpora: The corpus, or the corpus of the training set and that of the test set.
        target: Column that is recognized.
        waveforms: Waveforms of all utterances, corpus by corpus: float32 `[samples]` each, or the
            source that they are streamed from.
        content: Identity of each waveform, see `serjax.data.splits.content_id`.
        sounds: Number of the sound of each waveform, see `serjax.data.splits.same_sound`.
    """

    corpora: tuple[Corpus, ...]
    target: str
    waveforms: list[np.ndarray] | LazyWaveforms
    content: Sequence[str]
    sounds: list[int]


def read_tables(
    config: "RunConfig", corpora: tuple[Corpus, ...] | None = None
) -> tuple[tuple[Corpus, ...], str]:
    """Reads the tables of the corpora of a run, without opening a recording.

    Utterances without the target, of a class that the other corpus does not have, or outside of the
    configured subset are left out.

    Args:
        config: Configuration of the run.
        corpora: Corpora instead of those that the configuration names: the corpus, and perhaps a
            second one of the test set.

    Returns:
        Corpora, and the column that is recognized.

    Raises:
        InputError: A corpus cannot be read, or has no utterance with the target.
    """
    tables = list(_load(config) if corpora is None else corpora)
    if len(tables) not in (1, 2):
        raise InputError(f"corpora: expected 1, or 2 with that of the test set: {len(tables)}")
    if config.data.labels is not None:
        tables = [data.labels.apply(corpus, config.data.labels) for corpus in tables]
    target = _target(config, tables[0])
    tables = [_with_target(corpus, target) for corpus in tables]
    if config.data.subset is not None:
        tables = [_subset(corpus, target, config.data.subset) for corpus in tables]
    if len(tables) == 2:
        tables = list(splits.shared_classes(tables[0], tables[1], target))
    return tuple(tables), target


def _load(config: "RunConfig") -> list[Corpus]:
    """Loads the corpora that the configuration names."""
    names = config.data
    corpora = [data.load(names.dataset, names.data_dir, **names.dataset_options)]
    if names.test_dataset is not None:
        corpora.append(data.load(names.test_dataset, names.test_dir, **names.test_dataset_options))
    return corpora


def read_recordings(
    config: "RunConfig",
    front_end: FrontEnd,
    console: Console,
    corpora: tuple[Corpus, ...] | None = None,
) -> Recordings:
    """Reads and checks the recordings of a run.

    Args:
        config: Configuration of the run.
        front_end: Front end of its model.
        console: Console that shows the progress.
        corpora: Corpora to read the recordings of, instead of those that the configuration names,
            see `read_tables`.

    Raises:
        InputError: A corpus or its split does not fit the run.
    """
    if config.data.training_set_of is not None:
        return _training_set(config, config.data.training_set_of, front_end, console, corpora)
    corpora, target = read_tables(config, corpora)
    # An impossible split is better refused before all recordings are read.
    split_corpora(config, corpora, target)
    lazy_waveforms = _lazy_waveforms(config, front_end, corpora)
    skip = config.data.skip_bad_files
    if lazy_waveforms is not None:
        if skip:
            with console.status("looking for bad recordings"):
                rate = front_end.sample_rate
                corpora = tuple(data.drop_unreadable(corpus, rate) for corpus in corpora)
            lazy_waveforms = LazyWaveforms.of(corpora, front_end.sample_rate)
        return _streamed(corpora, target, lazy_waveforms, front_end, skip)
    checked: list[Corpus] = []
    waveforms: list[np.ndarray] = []
    for corpus in corpora:
        with console.status(f"reading {len(corpus)} utterances of {corpus.name}"):
            corpus, of_corpus = data.waveforms(corpus, front_end.sample_rate, skip_bad_files=skip)
        lengths = [len(waveform) for waveform in of_corpus]
        corpus, indices = _without_short(corpus, lengths, front_end, skip)
        checked.append(corpus)
        waveforms += [of_corpus[i] for i in indices]
    rate = front_end.sample_rate
    with console.status("looking for recordings of the same sound"):
        with ThreadPoolExecutor(READERS) as pool:
            content = [*pool.map(functools.partial(splits.content_id, sample_rate=rate), waveforms)]
        sounds = splits.same_sound(content, waveforms.__getitem__, rate).tolist()
    return Recordings(tuple(checked), target, waveforms, content, sounds)


def _training_set(
    config: "RunConfig",
    outer: "RunConfig",
    front_end: FrontEnd,
    console: Console,
    corpora: tuple[Corpus, ...] | None,
) -> Recordings:
    """Reads the training set of another run, without utterances that have not this run's target."""
    recordings = read_recordings(outer, front_end, console, corpora)
    corpus_split = split_corpora(outer, recordings.corpora, recordings.target, recordings.sounds)
    target = _target(config, corpus_split.corpus)
    values = corpus_split.corpus.column(target)
    labelled = [int(i) for i in corpus_split.split.train if values[i] is not None]
    corpus = _with_target(corpus_split.corpus.select(corpus_split.split.train), target)
    indices = [corpus_split.indices[i] for i in labelled]
    return Recordings(
        (corpus,),
        target,
        select_waveforms(recordings.waveforms, indices),
        [recordings.content[i] for i in indices],
        [recordings.sounds[i] for i in indices],
    )


def _lazy_waveforms(
    config: "RunConfig", front_end: FrontEnd, corpora: Sequence[Corpus]
) -> LazyWaveforms | None:
    """Returns the source that corpora are streamed from; None if they stay in memory."""
    if config.system.stream is False:
        return None
    if config.system.stream is None:
        is_stored = all(corpus.measure is not None for corpus in corpora)
        if config.is_classical or front_end.silence != "keep" or not is_stored:
            return None
    elif front_end.silence != "keep":
        raise InputError(
            f"stream: expected --silence keep, found {front_end.silence}, which selects the speech "
            "of all utterances before training"
        )
    lazy_waveforms = LazyWaveforms.of(corpora, front_end.sample_rate)
    is_large = int(lazy_waveforms.lengths.sum()) > RESIDENT_SAMPLES
    return lazy_waveforms if config.system.stream or is_large else None


def _streamed(
    corpora: Sequence[Corpus],
    target: str,
    lazy_waveforms: LazyWaveforms,
    front_end: FrontEnd,
    skip: bool,
) -> Recordings:
    """Checks the lengths of corpora that are streamed."""
    checked: list[Corpus] = []
    indices: list[int] = []
    first = 0
    for corpus in corpora:
        lengths = lazy_waveforms.lengths[first : first + len(corpus)]
        long_enough, of_corpus = _without_short(corpus, lengths, front_end, skip)
        checked.append(long_enough)
        indices += [first + i for i in of_corpus]
        first += len(corpus)
    lazy_waveforms = lazy_waveforms.select(indices)
    content = lazy_waveforms.content
    sounds = splits.same_sound(
        content, lambda index: from_int16(lazy_waveforms.waveform(index)), front_end.sample_rate
    ).tolist()
    return Recordings(tuple(checked), target, lazy_waveforms, content, sounds)


def select_waveforms(
    waveforms: list[np.ndarray] | LazyWaveforms, indices: Sequence[int] | np.ndarray
) -> list[np.ndarray] | LazyWaveforms:
    """Selects waveforms.

    Args:
        waveforms: Waveforms, or the source that they are streamed from.
        indices: Indices of the selected ones, in their order.
    """
    if isinstance(waveforms, LazyWaveforms):
        return waveforms.select(indices)
    return [waveforms[i] for i in indices]


def split_corpora(
    config: "RunConfig",
    corpora: Sequence[Corpus],
    target: str,
    sounds: Sequence[Hashable] | None = None,
) -> splits.CorpusSplit:
    """Splits corpora into training, validation and test set as the configuration asks.

    Args:
        config: Configuration of the run.
        corpora: The corpus, or the corpus of the training set and that of the test set.
        target: Column that is recognized.
        sounds: Number of the sound of each waveform, corpus by corpus; None before they are read.

    Returns:
        Split, its corpus, and the index of each of its utterances among those of `corpora`.

    Raises:
        SplitError: The corpora cannot be split like this.
    """
    if len(corpora) == 2:
        train, validation, _ = config.data.fractions
        return splits.split_cross_corpus(
            *corpora,
            split=config.data.split,
            target=target,
            validation=validation / (train + validation),
            seed=config.split_seed,
            content=sounds,
        )
    (corpus,) = corpora
    if config.data.fold is None:
        split = splits.split(
            corpus,
            config.data.split,
            target=target,
            fractions=config.data.fractions,
            seed=config.split_seed,
            content=sounds,
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
            content=sounds,
        )
        if len(folds) != count:
            raise InputError(
                f"fold {config.data.fold}: {config.data.split} of {corpus.name} has {len(folds)} "
                "folds"
            )
        split = folds[number - 1]
    return splits.CorpusSplit(corpus, split, np.arange(len(corpus)))


def check_split(config: "RunConfig", corpora: tuple[Corpus, ...] | None = None) -> None:
    """Checks that the corpora of a run can be split, before a recording is opened.

    Args:
        config: Configuration of the run.
        corpora: Corpora instead of those that the configuration names, see `read_tables`.

    Raises:
        InputError: A corpus cannot be read, has no utterance with the target, or cannot be split.
    """
    split_corpora(config, *read_tables(config, corpora))


def _target(config: "RunConfig", corpus: Corpus) -> str:
    """Returns the column that is recognized: the configured one, or the corpus's default."""
    target = config.data.target or ("emotion" if corpus.labels("emotion") else "text")
    if target not in _TARGETS:
        raise InputError(unknown_name("target", target, _TARGETS))
    return target


def _with_target(corpus: Corpus, target: str) -> Corpus:
    """Selects the utterances that have a target, and adds a note about the others."""
    labelled = [i for i, value in enumerate(corpus.column(target)) if value is not None]
    if not labelled:
        raise InputError(f"{corpus.name}: expected utterances with {target}, found none")
    if len(labelled) == len(corpus):
        return corpus
    note = f"{len(corpus) - len(labelled)} utterances without {target} left out"
    return dataclasses.replace(corpus.select(labelled), notes=(*corpus.notes, note))


def _subset(corpus: Corpus, target: str, size: int) -> Corpus:
    """Selects utterances at random, the same for every seed and as many of each class as of others.

    Classes with too few utterances have all of theirs, and the others more.
    """
    if size >= len(corpus):
        return corpus
    shuffled = np.random.default_rng(0).permutation(len(corpus))
    labels = np.array(corpus.column(target))[shuffled]
    rank = np.zeros(len(corpus), np.int64)  # of an utterance within its class
    for label in np.unique(labels):
        is_label = labels == label
        rank[is_label] = np.arange(is_label.sum())
    chosen = np.sort(shuffled[np.argsort(rank, kind="stable")[:size]])
    note = f"a subset of {size} of {len(corpus)} utterances"
    return dataclasses.replace(corpus.select(chosen), notes=(*corpus.notes, note))


def _without_short(
    corpus: Corpus, lengths: Sequence[int] | np.ndarray, front_end: FrontEnd, skip: bool
) -> tuple[Corpus, list[int]]:
    """Refuses utterances shorter than one analysis window, or leaves them out with a note.

    Returns:
        Corpus of the other utterances, and their indices.
    """
    window = front_end.window_samples
    short = [i for i, length in enumerate(lengths) if length < window]
    if not short:
        return corpus, list(range(len(corpus)))
    first = corpus.utterances[short[0]].identity
    message = (
        f"{first}: expected at least one window of {window} samples at {front_end.sample_rate} Hz, "
        f"found {lengths[short[0]]}"
    )
    if not skip:
        others = f"; {len(short)} too short; --skip-bad-files trains on the rest"
        raise InputError(message + others)
    indices = sorted(set(range(len(corpus))) - set(short))
    notes = [f"skipped, too short: {corpus.utterances[i].identity}" for i in short]
    return dataclasses.replace(corpus.select(indices), notes=(*corpus.notes, *notes)), indices
