"""The table every corpus is read into, and the reading of its recordings."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

import numpy as np

from serjax import audio
from serjax.errors import InputError

EMOTIONS = (
    "anger",
    "boredom",
    "calm",
    "disgust",
    "excitement",
    "fear",
    "frustration",
    "happiness",
    "neutral",
    "sadness",
    "surprise",
)
"""What the published corpora's own codes are translated to, so that corpora can be joined."""

DIMENSIONS = ("valence", "activation", "dominance")
COLUMNS = ("path", "emotion", "speaker", "text", "session", *DIMENSIONS)

# soundfile and soxr release the interpreter's lock: on two cores, threads read RAVDESS 1.6 times
# and FSDD 2 times as fast as a loop. Threads beyond the cores cost nothing and hide slow disks.
READERS = 8
_AHEAD = 8 * READERS


class CorpusError(InputError):
    """A corpus is not where, or not what, it should be: one line that names folder and file."""


@dataclass(frozen=True, slots=True)  # LibriSpeech has nine million words
class Utterance:
    """One labelled recording, or a part of one.

    Attributes:
        path: Identifies the recording: relative to the corpus's folder, with forward slashes.
            A synthetic utterance has a made-up one, such as "synthetic/s03_w2_anger_1.wav".
        emotion: Lower-case English name, one of `EMOTIONS` in the published corpora.
        speaker: Who speaks.
        text: What is said: a word, or the identifier of a sentence.
        session: The recording session, or whatever larger unit the corpus is divided into.
        start: Where the utterance begins within the recording, in seconds; None: at its beginning.
        end: Where it ends, in seconds; None: at the recording's end.
        valence: How pleasant it sounds, on the corpus's own scale, which its loader gives.
        activation: How aroused, on the same scale.
        dominance: How much in control, on the same scale.
    """

    path: str
    emotion: str | None = None
    speaker: str | None = None
    text: str | None = None
    session: str | None = None
    start: float | None = None
    end: float | None = None
    valence: float | None = None
    activation: float | None = None
    dominance: float | None = None


Reader = Callable[[Utterance, int], np.ndarray]
Measure = Callable[[Utterance, int], tuple[int, str]]


@dataclass(frozen=True)
class Corpus:
    """Utterances, and how to hear them.

    Attributes:
        name: The corpus's name.
        utterances: Sorted by path, then start, however they are given: the order never depends
            on the file system, nor do the splits drawn from it.
        read: `(utterance, sample_rate)` to a float32 waveform [samples] in [-1, 1]. Raises
            `serjax.audio.AudioError`. Safe to call from several threads.
        notes: What the loader dropped or noticed (duplicates, ignored files), one line each.
        folder: What the utterances' paths are relative to; None where there are no files.
        measure: `(utterance, sample_rate)` to its length in samples and the hash of its content,
            see `serjax.data.splits.content_hash`, without reading it. Raises as `read` does. None
            where that takes reading: then the corpus cannot be streamed.

    Raises:
        CorpusError: An utterance is listed twice.
    """

    name: str
    utterances: tuple[Utterance, ...]
    read: Reader
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    measure: Measure | None = None

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.utterances, key=_order))
        for earlier, later in itertools.pairwise(ordered):
            if _order(earlier) == _order(later):
                raise CorpusError(f"{self.name}: {later.path} is listed twice")
        object.__setattr__(self, "utterances", ordered)

    def __len__(self) -> int:
        return len(self.utterances)

    @overload
    def column(
        self, name: Literal["path", "emotion", "speaker", "text", "session"]
    ) -> list[str | None]: ...

    @overload
    def column(self, name: Literal["valence", "activation", "dominance"]) -> list[float | None]: ...

    @overload
    def column(self, name: str) -> Sequence[str | float | None]: ...

    def column(self, name: str) -> Sequence[str | float | None]:
        """Returns one of `COLUMNS` for every utterance, in order: a list.

        Raises:
            CorpusError: There is no such column.
        """
        if name not in COLUMNS:
            raise CorpusError(f"{self.name}: no column {name!r}; expected one of {_join(COLUMNS)}")
        return [getattr(utterance, name) for utterance in self.utterances]

    def labels(self, target: str) -> list[str]:
        """Returns the distinct values of a column of text, sorted, without None.

        Raises:
            CorpusError: There is no such column, or it holds numbers.
        """
        if target in DIMENSIONS:
            raise CorpusError(f"{self.name}: expected a column of text, found numbers, {target}")
        return sorted({value for value in self.column(target) if isinstance(value, str)})

    def select(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Returns the corpus of the utterances at `indices`, in this corpus's order."""
        return replace(self, utterances=tuple(self.utterances[int(i)] for i in indices))


def corpus_of_files(
    name: str, utterances: Iterable[Utterance], folder: Path, notes: Iterable[str] = ()
) -> Corpus:
    """Returns the corpus of utterances that are files, or parts of files, below a folder."""

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        path = folder / utterance.path
        return audio.load(path, sample_rate, start=utterance.start, end=utterance.end)

    return Corpus(name, tuple(utterances), read, tuple(notes), folder)


def attempts(
    corpus: Corpus, sample_rate: int
) -> Iterator[tuple[Utterance, np.ndarray | audio.AudioError]]:
    """Reads the utterances of a corpus in order, a few ahead of what is asked for.

    Args:
        corpus: What to read.
        sample_rate: Samples per second of the result.

    Yields:
        An utterance, and its waveform, float32 [samples] in [-1, 1], or why it can't be read.
    """

    def attempt(utterance: Utterance) -> np.ndarray | audio.AudioError:
        try:
            return corpus.read(utterance, sample_rate)
        except audio.AudioError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        ahead: deque[tuple[Utterance, Future[np.ndarray | audio.AudioError]]] = deque()
        for utterance in corpus.utterances:
            ahead.append((utterance, pool.submit(attempt, utterance)))
            if len(ahead) > _AHEAD:
                first, result = ahead.popleft()
                yield first, result.result()
        for last, result in ahead:
            yield last, result.result()


def waveforms(
    corpus: Corpus,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Corpus, list[np.ndarray]]:
    """Reads every utterance of a corpus.

    All are tried before an error is raised, so that it says how many are bad at once.

    Args:
        corpus: What to read.
        sample_rate: Samples per second of the result.
        skip_bad_files: Drop what can't be read, and list it in the returned corpus's notes.
        progress: Called with (utterances done, utterances in all) after each.

    Returns:
        The corpus of what was read, and its waveforms in the same order: float32 [samples] in
        [-1, 1], each of its own length.

    Raises:
        serjax.audio.AudioError: Utterances can't be read: names the first and counts the others.
            With `skip_bad_files`, only if there is no other one.
    """
    good: list[int] = []
    heard: list[np.ndarray] = []
    errors: list[audio.AudioError] = []
    for i, (_, result) in enumerate(attempts(corpus, sample_rate)):
        if isinstance(result, audio.AudioError):
            errors.append(result)
        else:
            good.append(i)
            heard.append(result)
        if progress is not None:
            progress(i + 1, len(corpus))
    if not errors:
        return corpus, heard
    if not good:
        raise audio.AudioError(f"{errors[0]}; none of {corpus.name}'s {len(corpus)} can be read")
    if not skip_bad_files:
        others = f"{len(errors) - 1} more of {len(corpus)} can't be read either; " * (
            len(errors) > 1
        )
        raise audio.AudioError(f"{errors[0]}; {others}--skip-bad-files trains on the rest")
    notes = (*corpus.notes, *(f"skipped, can't be read: {error}" for error in errors))
    return replace(corpus.select(good), notes=notes), heard


def _order(utterance: Utterance) -> tuple[str, float, float]:
    return utterance.path, utterance.start or 0.0, utterance.end or float("inf")


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)
