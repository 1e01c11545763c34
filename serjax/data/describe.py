"""Description of a corpus: counts, hours, sample rates, durations, duplicates and problems.

The counts are compared with the published ones. Every recording is opened once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from serjax import audio
from serjax.console import Console
from serjax.data import splits
from serjax.data.corpus import READERS, Corpus, Identity, Utterance
from serjax.data.registry import Published

NONE = "(none)"

_SAMPLE_RATE = 16000
_MAX_ROWS = 40
_MAX_CLASSES = 12
_SILENT = "is silent: all of its samples are equal"


@dataclass(frozen=True)
class Description:
    """Contents of a corpus.

    Attributes:
        corpus: The corpus.
        target: Column of the classes: "emotion", or "text" or "speaker" if there are no emotions.
        seconds: Duration of each utterance, float64 [utterances]; NaN if it is unreadable.
        formats: Number of files of each sample rate (Hz) and number of channels.
        duplicates: Groups of two or more utterances of the same sound.
        problems: Unreadable or silent utterances by the reason.
        published: Published counts; None if there are none.
    """

    corpus: Corpus
    target: str
    seconds: np.ndarray
    formats: Mapping[tuple[int, int], int]
    duplicates: tuple[tuple[Identity, ...], ...]
    problems: Mapping[str, tuple[Identity, ...]]
    published: Published | None

    @property
    def classes(self) -> list[str]:
        """Class of each utterance, `NONE` if there is none."""
        return [str(value) if value else NONE for value in self.corpus.column(self.target)]

    @property
    def speakers(self) -> list[str]:
        """Speaker of each utterance, `NONE` if there is none."""
        return [value or NONE for value in self.corpus.column("speaker")]

    def differences(self) -> Iterator[tuple[str, int, int]]:
        """Yields the counts that differ from the published ones: name, found, published."""
        if self.published is not None:
            yield from differences(self.corpus, self.published)


def differences(corpus: Corpus, published: Published) -> Iterator[tuple[str, int, int]]:
    """Yields the counts of a corpus that differ from the published ones. No recording is opened.

    Args:
        corpus: The corpus.
        published: Published counts.

    Yields:
        Name of the count, number found, number published.
    """
    expected = dict(published.counts)
    if published.speakers is not None:
        expected = {"speakers": published.speakers, **expected}
    if published.total is not None:
        expected = {"utterances": published.total, **expected}
    classes = [str(value) if value else NONE for value in corpus.column(published.column)]
    counts = Counter(classes)
    counts["utterances"] = len(corpus)
    counts["speakers"] = len(corpus.labels("speaker"))
    unpublished = sorted(set(classes) - {NONE}) if published.counts else ()
    for name in dict.fromkeys((*expected, *unpublished)):
        if counts[name] != expected.get(name, 0):
            yield name, counts[name], expected.get(name, 0)


@dataclass(frozen=True)
class _Sound:
    """Properties of a recording."""

    seconds: float
    content: str
    is_silent: bool
    format: tuple[int, int]


def describe(
    corpus: Corpus,
    published: Published | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Description:
    """Opens every recording of a corpus and describes its contents.

    Args:
        corpus: The corpus.
        published: Published counts to compare with.
        progress: Function of (number of opened utterances, number of utterances), called after each
            utterance.

    Returns:
        The description.
    """

    def inspect(utterance: Utterance) -> _Sound | audio.AudioError:
        try:
            waveform = corpus.read(utterance, _SAMPLE_RATE)
            if corpus.folder is None:
                file_format = _SAMPLE_RATE, 1
            else:
                file_format = audio.header(corpus.folder / utterance.path)
        except audio.AudioError as error:
            return error
        return _Sound(
            len(waveform) / _SAMPLE_RATE,
            splits.content_id(waveform, _SAMPLE_RATE),
            bool(np.ptp(waveform) == 0),
            file_format,
        )

    seconds = np.full(len(corpus), np.nan)
    formats: dict[str, tuple[int, int]] = {}
    content: dict[int, str] = {}
    problems: dict[str, list[Identity]] = defaultdict(list)
    with ThreadPoolExecutor(READERS) as pool:
        for i, sound in enumerate(pool.map(inspect, corpus.utterances)):
            identity = corpus.utterances[i].identity
            if isinstance(sound, audio.AudioError):
                problems[_reason(str(sound), identity.path)].append(identity)
            else:
                seconds[i] = sound.seconds
                formats[identity.path] = sound.format
                content[i] = sound.content
                if sound.is_silent:
                    problems[_SILENT].append(identity)
            if progress is not None:
                progress(i + 1, len(corpus))
    readable = [*content]
    sounds = splits.same_sound(
        [*content.values()],
        lambda index: corpus.read(corpus.utterances[readable[index]], _SAMPLE_RATE),
        _SAMPLE_RATE,
    )
    copies: dict[int, list[Identity]] = defaultdict(list)
    for index, sound_id in zip(readable, sounds.tolist(), strict=True):
        copies[sound_id].append(corpus.utterances[index].identity)
    if published is not None:
        target = published.column
    else:
        target = next((c for c in ("emotion", "text") if corpus.labels(c)), "speaker")
    return Description(
        corpus,
        target,
        seconds,
        dict(sorted(Counter(formats.values()).items())),
        tuple(tuple(group) for group in copies.values() if len(group) > 1),
        {reason: tuple(identities) for reason, identities in sorted(problems.items())},
        published,
    )


def print_description(console: Console, description: Description) -> None:
    """Prints tables of classes and speakers, then one line for each other property.

    Args:
        console: Console to print to.
        description: Description of a corpus.
    """
    console = Console.of(console)
    corpus, seconds = description.corpus, description.seconds
    hours = np.nansum(seconds) / 3600
    speakers = len(corpus.labels("speaker"))
    console.print(
        f"{corpus.name}: {len(corpus):,} utterances, {speakers:,} speakers, {hours:.2f} hours"
    )
    console.print()
    console.print(_class_table(description))
    console.print()
    per_speaker = Counter(description.speakers)
    if 0 < speakers <= _MAX_ROWS and len(set(description.classes)) <= _MAX_CLASSES:
        console.print(_speaker_table(description))
        console.print()
    elif speakers:
        console.print(
            f"utterances of a speaker: {_range(np.array(list(per_speaker.values())), '.0f')}"
        )
    if np.isfinite(seconds).any():
        console.print(f"lengths in seconds: {_range(seconds[np.isfinite(seconds)], '.2f')}")
    for (rate, channels), count in description.formats.items():
        what = "files" if corpus.folder is not None else "utterances"
        console.print(
            f"{rate:,} Hz, {'mono' if channels == 1 else f'{channels} channels'}: {count:,} {what}"
        )
    for group in description.duplicates:
        console.print(f"same sound: {', '.join(map(str, group))}")
    for reason, identities in description.problems.items():
        console.print(f"problem: {len(identities):,} of {len(corpus):,}: {identities[0]} {reason}")
    for note in corpus.notes:
        console.print(f"note: {note}")
    if description.published is not None:
        differences = [
            f"{name} {found:,} not {expected:,}"
            for name, found, expected in description.differences()
        ]
        console.print(f"differs from what is published: {', '.join(differences) or 'in no count'}")


def _reason(message: str, path: str) -> str:
    """Returns the kind of an `AudioError`, without its file and numbers."""
    reason = message.partition(f"{path}: ")[2] or message
    return re.split(r"[:;(,]", reason)[0].strip()


def _range(values: np.ndarray, form: str) -> str:
    """Returns the minimum, maximum and median of values as text."""
    low, middle, high = values.min(), np.median(values), values.max()
    return f"{low:{form}} to {high:{form}}, median {middle:{form}}"


def _class_table(description: Description) -> Table:
    """Returns a table of the utterances, fraction, minutes and published count of each class."""
    counts = Counter(description.classes)
    expected = description.published.counts if description.published is not None else {}
    minutes: dict[str, float] = defaultdict(float)
    for name, seconds in zip(description.classes, description.seconds, strict=True):
        minutes[name] += 0.0 if np.isnan(seconds) else seconds / 60
    table = Table(box=None, pad_edge=False)
    table.add_column(description.target, overflow="fold")
    for title in ("utterances", "%", "minutes", *(("published", "difference") if expected else ())):
        table.add_column(title, justify="right", no_wrap=True)
    names = sorted({*counts, *expected} - {NONE})
    shown = sorted(names, key=lambda name: (-counts[name], name))[:_MAX_ROWS]
    for name in [name for name in names if name in shown] + [NONE] * (NONE in counts):
        count = counts[name]
        cells = [
            f"{count:,}",
            f"{100 * count / len(description.corpus):.1f}",
            f"{minutes[name]:.1f}",
        ]
        if expected and name != NONE:
            difference = count - expected.get(name, 0)
            cells += [f"{expected.get(name, 0):,}", f"{difference:+,}" if difference else "0"]
        table.add_row(name, *cells)
    if others := len(names) - len(shown):
        table.add_row(f"and {others:,} more")
    return table


def _speaker_table(description: Description) -> Table:
    """Returns a table of the utterances of each speaker and class."""
    pairs = Counter(zip(description.speakers, description.classes, strict=True))
    classes = sorted(set(description.classes))
    table = Table(box=None, pad_edge=False)
    table.add_column("speaker", overflow="fold")
    for name in (*classes, "all"):
        table.add_column(name, justify="right")
    for speaker in sorted(set(description.speakers)):
        counts = [pairs[speaker, name] for name in classes]
        table.add_row(speaker, *(f"{count:,}" for count in (*counts, sum(counts))))
    return table
