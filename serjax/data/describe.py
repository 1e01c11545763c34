"""What a corpus holds: counts, hours, rates, lengths, duplicates and problems.

It is compared with what the corpus's owners publish. Every recording is opened, once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serjax import audio
from serjax.data import splits
from serjax.data.corpora.files import Published
from serjax.data.corpus import READERS, Corpus, Utterance

NONE = "(none)"

_SAMPLE_RATE = 16000
_MOST_SPEAKERS = 40
_MOST_CLASSES = 12
_SILENT = "is silent: all of its samples are 0"


@dataclass(frozen=True)
class Description:
    """What a corpus holds.

    Attributes:
        corpus: The corpus.
        target: The column that its classes are of: "emotion", or "text" or "speaker" where it has
            no emotions.
        seconds: Length of each utterance, float64 [utterances]; NaN where it can't be read.
        formats: Number of files of each sample rate (Hz) and number of channels.
        duplicates: Utterances of the same sound at 16 kHz, by path, the groups of two and more.
        problems: Utterances that can't be read, or are silent, by path under the reason.
        published: What the owners say that it holds; None where they do not.
    """

    corpus: Corpus
    target: str
    seconds: np.ndarray
    formats: Mapping[tuple[int, int], int]
    duplicates: tuple[tuple[str, ...], ...]
    problems: Mapping[str, tuple[str, ...]]
    published: Published | None

    @property
    def classes(self) -> list[str]:
        """Class of each utterance, `NONE` for those without."""
        return [str(value) if value else NONE for value in self.corpus.column(self.target)]

    @property
    def speakers(self) -> list[str]:
        """Speaker of each utterance, `NONE` for those without."""
        return [value or NONE for value in self.corpus.column("speaker")]

    def differences(self) -> Iterator[tuple[str, int, int]]:
        """Yields what is counted otherwise than published: its name, found, published."""
        if self.published is not None:
            yield from differences(self.corpus, self.published)


def differences(corpus: Corpus, published: Published) -> Iterator[tuple[str, int, int]]:
    """Yields what a corpus counts otherwise than published: its name, found, published.

    No recording is opened.
    """
    expected = {
        "utterances": published.total,
        "speakers": published.speakers,
        **published.counts,
    }
    classes = [str(value) if value else NONE for value in corpus.column(published.column)]
    found = Counter(classes)
    found["utterances"] = len(corpus)
    found["speakers"] = len(corpus.labels("speaker"))
    more = () if not published.counts else sorted(set(classes) - {NONE})
    for name in dict.fromkeys((*expected, *more)):
        if found[name] != expected.get(name, 0):
            yield name, found[name], expected.get(name, 0)


@dataclass(frozen=True)
class _Sound:
    seconds: float
    content: str
    silent: bool
    format: tuple[int, int]


def describe(
    corpus: Corpus,
    published: Published | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Description:
    """Opens every recording of a corpus and says what it holds.

    Args:
        corpus: What to describe.
        published: What it is compared with.
        progress: Called with (utterances done, utterances in all) after each.
    """

    def listen(utterance: Utterance) -> _Sound | audio.AudioError:
        try:
            waveform = corpus.read(utterance, _SAMPLE_RATE)
            if corpus.folder is None:
                form = _SAMPLE_RATE, 1
            else:
                form = audio.header(corpus.folder / utterance.path)
        except audio.AudioError as error:
            return error
        return _Sound(
            len(waveform) / _SAMPLE_RATE,
            splits.content_hash(waveform),
            not waveform.any(),
            form,
        )

    seconds = np.full(len(corpus), np.nan)
    formats: dict[str, tuple[int, int]] = {}
    same: dict[str, list[str]] = defaultdict(list)
    problems: dict[str, list[str]] = defaultdict(list)
    with ThreadPoolExecutor(READERS) as pool:
        for i, sound in enumerate(pool.map(listen, corpus.utterances)):
            path = corpus.utterances[i].path
            if isinstance(sound, audio.AudioError):
                problems[_reason(str(sound), path)].append(path)
            else:
                seconds[i] = sound.seconds
                formats[path] = sound.format
                same[sound.content].append(path)
                if sound.silent:
                    problems[_SILENT].append(path)
            if progress is not None:
                progress(i + 1, len(corpus))
    if published is not None:
        target = published.column
    else:
        target = next((c for c in ("emotion", "text") if corpus.labels(c)), "speaker")
    return Description(
        corpus,
        target,
        seconds,
        dict(sorted(Counter(formats.values()).items())),
        tuple(tuple(paths) for paths in same.values() if len(paths) > 1),
        {reason: tuple(paths) for reason, paths in sorted(problems.items())},
        published,
    )


def print_description(console: Console, description: Description) -> None:
    """Prints a description: tables of classes and speakers, then a line for each other matter."""

    def line(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    corpus, seconds = description.corpus, description.seconds
    hours = np.nansum(seconds) / 3600
    speakers = len(corpus.labels("speaker"))
    line(f"{corpus.name}: {len(corpus):,} utterances, {speakers:,} speakers, {hours:.2f} hours\n")
    console.print(_class_table(description))
    console.print()
    per_speaker = Counter(description.speakers)
    if 0 < speakers <= _MOST_SPEAKERS and len(set(description.classes)) <= _MOST_CLASSES:
        console.print(_speaker_table(description))
        console.print()
    elif speakers:
        line(f"utterances of a speaker: {_spread(np.array(list(per_speaker.values())), '.0f')}")
    if np.isfinite(seconds).any():
        line(f"lengths in seconds: {_spread(seconds[np.isfinite(seconds)], '.2f')}")
    for (rate, channels), count in description.formats.items():
        what = "files" if corpus.folder is not None else "utterances"
        line(
            f"{rate:,} Hz, {'mono' if channels == 1 else f'{channels} channels'}: {count:,} {what}"
        )
    for group in description.duplicates:
        line(f"identical sound: {', '.join(group)}")
    for reason, paths in description.problems.items():
        line(f"problem: {len(paths):,} of {len(corpus):,}: {paths[0]} {reason}")
    for note in corpus.notes:
        line(f"note: {note}")
    if description.published is not None:
        differences = [
            f"{name} {found:,} not {expected:,}"
            for name, found, expected in description.differences()
        ]
        line(f"differs from what is published: {', '.join(differences) or 'in no count'}")


def _reason(message: str, path: str) -> str:
    """The kind of an `AudioError`, without the file and without its numbers."""
    reason = message.partition(f"{path}: ")[2] or message
    return re.split(r"[:;(,]", reason)[0].strip()


def _spread(values: np.ndarray, form: str) -> str:
    low, middle, high = values.min(), np.median(values), values.max()
    return f"{low:{form}} to {high:{form}}, median {middle:{form}}"


def _class_table(description: Description) -> Table:
    """Utterances, share and minutes of each class, and the published number where there is one."""
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
    shown = sorted(names, key=lambda name: (-counts[name], name))[:_MOST_SPEAKERS]
    for name in [name for name in names if name in shown] + [NONE] * (NONE in counts):
        count = counts[name]
        cells = [
            f"{count:,}",
            f"{100 * count / len(description.corpus):.1f}",
            f"{minutes[name]:.1f}",
        ]
        if expected and name != NONE:
            off = count - expected.get(name, 0)
            cells += [f"{expected.get(name, 0):,}", f"{off:+,}" if off else "0"]
        table.add_row(Text(name), *cells)
    if others := len(names) - len(shown):
        table.add_row(f"and {others:,} more")
    return table


def _speaker_table(description: Description) -> Table:
    """Utterances of each speaker and class."""
    pairs = Counter(zip(description.speakers, description.classes, strict=True))
    classes = sorted(set(description.classes))
    table = Table(box=None, pad_edge=False)
    table.add_column("speaker", overflow="fold")
    for name in (*classes, "all"):
        table.add_column(Text(name), justify="right")
    for speaker in sorted(set(description.speakers)):
        numbers = [pairs[speaker, name] for name in classes]
        table.add_row(Text(speaker), *(f"{number:,}" for number in (*numbers, sum(numbers))))
    return table
