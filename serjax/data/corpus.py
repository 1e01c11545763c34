"""The table of a corpus, and the reading of its recordings."""

import itertools
import math
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

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
"""The emotions of the published corpora, common names for their different codes."""

DIMENSIONS = ("valence", "activation", "dominance")
_LABELS = ("emotion", "speaker", "text", "session")
COLUMNS = ("path", *_LABELS, *DIMENSIONS)

# soundfile and soxr release the interpreter's lock: on two cores, threads read RAVDESS 1.6 times
# and FSDD 2 times as fast as a loop. Threads beyond the cores cost nothing and hide slow disks.
READERS = 8
_READ_AHEAD = 8 * READERS


class CorpusError(InputError):
    """A corpus that is missing or malformed: one line that names the folder and the file."""


class Identity(NamedTuple):
    """Identity of an utterance: its recording and its time range. Identities sort by both.

    >>> str(Identity("a.wav")), str(Identity("a.wav", 0.5, 2.0))
    ('a.wav', 'a.wav (0.5 s to 2 s)')

    Attributes:
        path: Path of the recording, see `Utterance`.
        start: Start of the utterance in the recording, in seconds.
        end: End of the utterance in the recording, in seconds; infinite: the recording's end.
    """

    path: str
    start: float = 0.0
    end: float = math.inf

    @property
    def is_whole(self) -> bool:
        """True if the utterance is a whole recording."""
        return self.start == 0.0 and self.end == math.inf

    def __str__(self) -> str:
        """Returns the path, and the time range of a segment."""
        if self.is_whole:
            return self.path
        end = "its end" if self.end == math.inf else f"{self.end:g} s"
        return f"{self.path} ({self.start:g} s to {end})"


@dataclass(frozen=True, slots=True)  # LibriSpeech has nine million words
class Utterance:
    """A labelled recording, or a segment of one.

    Attributes:
        path: Path of the recording relative to the corpus's folder, with forward slashes. It
            identifies the recording. A synthetic utterance has an invented one, such as
            "synthetic/s03_w2_anger_1.wav".
        emotion: Lower-case English name, one of `EMOTIONS` in the published corpora.
        speaker: Identifier of the speaker.
        text: Spoken word, or identifier of the spoken sentence.
        session: Recording session, or another group of recordings.
        start: Start of the utterance in the recording, in seconds; None: the recording's start.
        end: End of the utterance in the recording, in seconds; None: the recording's end.
        valence: Pleasantness, on the scale of the corpus, see its loader.
        activation: Arousal, on the scale of the corpus.
        dominance: Control, on the scale of the corpus.
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

    @property
    def identity(self) -> Identity:
        """Identity of the utterance, by which it is found again everywhere."""
        end = math.inf if self.end is None else self.end
        return Identity(self.path, self.start or 0.0, end)


Reader = Callable[[Utterance, int], np.ndarray]
"""`(utterance, sample_rate)` to a float32 waveform `[samples]` in [-1, 1]."""

Measure = Callable[[Utterance, int], tuple[int, str]]
"""`(utterance, sample_rate)` to the number of samples and the hash of the content."""


@dataclass(frozen=True)
class Corpus:
    """Utterances, and the function that reads their waveforms.

    >>> import numpy as np
    >>> utterances = (Utterance("b.wav", emotion="anger"), Utterance("a.wav", emotion="neutral"))
    >>> corpus = Corpus("silence", utterances, lambda utterance, rate: np.zeros(rate, np.float32))
    >>> corpus.column("path")
    ['a.wav', 'b.wav']

    Attributes:
        name: Name of the corpus.
        utterances: The utterances, which the constructor sorts by path and start: their order and
            the splits never depend on the file system. It converts their labels to Unicode's form
            NFC, in which macOS and other systems write a letter with an accent alike. Paths stay as
            they are, because names on disk are bytes.
        read: Function from `(utterance, sample_rate)` to a float32 waveform [samples] in [-1, 1].
            It raises `serjax.audio.AudioError` and is safe to call from several threads.
        notes: Remarks of the loader on duplicates and ignored files, one line each.
        folder: Folder that the paths of the utterances are relative to; None if there are no files.
        measure: Function from `(utterance, sample_rate)` to the number of samples and the identity
            of the sound, see `serjax.data.splits.content_id`, without reading the waveform. It
            raises the same errors as `read`. None if measuring requires reading: then the corpus
            cannot be streamed.

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
        normalized = map(_normalized, self.utterances)
        ordered = tuple(sorted(normalized, key=lambda utterance: utterance.identity))
        for earlier, later in itertools.pairwise(utterance.identity for utterance in ordered):
            if earlier == later:
                raise CorpusError(f"{self.name}: {later} is listed twice")
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
        """Returns the values of a column, one for every utterance, in order.

        Args:
            name: One of `COLUMNS`.

        Raises:
            CorpusError: The column does not exist.
        """
        if name not in COLUMNS:
            raise CorpusError(
                f"{self.name}: no column {name!r}; expected one of {', '.join(COLUMNS)}"
            )
        return [getattr(utterance, name) for utterance in self.utterances]

    def labels(self, target: str) -> list[str]:
        """Returns the distinct values of a column of text, sorted, without None.

        Args:
            target: Name of the column.

        Raises:
            CorpusError: The column does not exist, or it holds numbers.
        """
        if target in DIMENSIONS:
            raise CorpusError(f"{self.name}: expected a column of text, found numbers, {target}")
        return sorted({value for value in self.column(target) if isinstance(value, str)})

    def select(self, indices: Sequence[int] | np.ndarray) -> "Corpus":
        """Returns the corpus of the utterances at `indices`, in the order of this corpus."""
        return replace(self, utterances=tuple(self.utterances[int(i)] for i in indices))


def corpus_of_files(
    name: str, utterances: Iterable[Utterance], folder: Path, notes: Iterable[str] = ()
) -> Corpus:
    """Returns a corpus of utterances that are files, or segments of files, below a folder.

    Args:
        name: Name of the corpus.
        utterances: The utterances; their paths are relative to the folder.
        folder: The folder.
        notes: Remarks on duplicates and ignored files, one line each.

    Raises:
        CorpusError: An utterance is listed twice.
    """

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        path = folder / utterance.path
        return audio.load(path, sample_rate, start=utterance.start, end=utterance.end)

    return Corpus(name, tuple(utterances), read, tuple(notes), folder)


def attempts(
    corpus: Corpus, sample_rate: int
) -> Iterator[tuple[Utterance, np.ndarray | audio.AudioError]]:
    """Reads the utterances of a corpus in order, in threads that read ahead.

    Args:
        corpus: The corpus.
        sample_rate: Sample rate of the waveforms, in Hz.

    Yields:
        An utterance, and its waveform, float32 [samples] in [-1, 1], or the error of reading it.
    """

    def attempt(utterance: Utterance) -> np.ndarray | audio.AudioError:
        try:
            return corpus.read(utterance, sample_rate)
        except audio.AudioError as error:
            return error

    with ThreadPoolExecutor(READERS) as pool:
        pending: deque[tuple[Utterance, Future[np.ndarray | audio.AudioError]]] = deque()
        for utterance in corpus.utterances:
            pending.append((utterance, pool.submit(attempt, utterance)))
            if len(pending) > _READ_AHEAD:
                first, result = pending.popleft()
                yield first, result.result()
        for last, result in pending:
            yield last, result.result()


def waveforms(
    corpus: Corpus,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Corpus, list[np.ndarray]]:
    """Reads every utterance of a corpus.

    An error is raised after all utterances are tried, so that its message counts the unreadable
    ones.

    >>> from serjax import data
    >>> corpus, recordings = data.waveforms(data.load("synthetic", speakers=3, words=1))
    >>> len(recordings), recordings[0].dtype
    (12, dtype('float32'))

    Args:
        corpus: The corpus.
        sample_rate: Sample rate of the waveforms, in Hz.
        skip_bad_files: Drop unreadable utterances and list them in the notes, instead of raising.
        progress: Function of (number of tried utterances, number of utterances), called after each
            utterance.

    Returns:
        The corpus of the readable utterances, and their waveforms in the same order, float32
        [samples] in [-1, 1], each with its own length.

    Raises:
        serjax.audio.AudioError: Utterances are unreadable; the message names the first and counts
            the others. With `skip_bad_files` it is raised only if all are unreadable.
    """
    indices: list[int] = []
    results: list[np.ndarray] = []
    errors: list[audio.AudioError] = []
    for i, (_, result) in enumerate(attempts(corpus, sample_rate)):
        if isinstance(result, audio.AudioError):
            errors.append(result)
        else:
            indices.append(i)
            results.append(result)
        if progress is not None:
            progress(i + 1, len(corpus))
    if errors and indices and not skip_bad_files:
        others = f"{len(errors) - 1} more of {len(corpus)} can't be read either; " * (
            len(errors) > 1
        )
        raise audio.AudioError(f"{errors[0]}; {others}--skip-bad-files trains on the rest")
    return _without(corpus, indices, errors), results


def drop_unreadable(corpus: Corpus, sample_rate: int = 16000) -> Corpus:
    """Reads every utterance of a corpus once, and drops those that are unreadable.

    No waveform is kept, so the corpus may be larger than memory.

    Args:
        corpus: The corpus.
        sample_rate: Sample rate of the waveforms, in Hz.

    Returns:
        The corpus of the readable utterances; the others are listed in its notes.

    Raises:
        serjax.audio.AudioError: All utterances are unreadable.
    """
    indices: list[int] = []
    errors: list[audio.AudioError] = []
    for i, (_, result) in enumerate(attempts(corpus, sample_rate)):
        if isinstance(result, audio.AudioError):
            errors.append(result)
        else:
            indices.append(i)
    return _without(corpus, indices, errors)


def _without(corpus: Corpus, indices: Sequence[int], errors: Sequence[audio.AudioError]) -> Corpus:
    """Returns the corpus of the utterances at `indices`, and notes the errors of the others."""
    if not errors:
        return corpus
    if not indices:
        raise audio.AudioError(f"{errors[0]}; none of {corpus.name}'s {len(corpus)} can be read")
    notes = (*corpus.notes, *(f"skipped, can't be read: {error}" for error in errors))
    return replace(corpus.select(indices), notes=notes)


def _normalized(utterance: Utterance) -> Utterance:
    """Returns an utterance whose labels are in Unicode's form NFC."""
    changes: dict[str, Any] = {}
    for name in _LABELS:
        value = getattr(utterance, name)
        if value is not None and not value.isascii():
            changes[name] = unicodedata.normalize("NFC", value)
    return replace(utterance, **changes) if changes else utterance
