"""A corpus ready to train on: read, checked, split and laid out."""

import dataclasses

import numpy as np
from rich.console import Console

from serjax import classical
from serjax.data import Corpus, batches, splits
from serjax.data.batches import Examples
from serjax.data.storage.lazy_waveforms import LazyWaveforms
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.training.config import RunConfig
from serjax.training.input.recordings import Recordings, divide, read, selected


@dataclasses.dataclass(frozen=True)
class RunDataset:
    """A corpus ready to train on: read, split, and laid out.

    Attributes:
        corpus: The utterances that are used.
        classes: Names of the classes.
        labels: `[utterances]` int32.
        split: Indices of the three parts.
        examples: Of all parts, on the host. Where they are streamed, without samples, and with
            starts that count from their utterance's first sample.
        sample_rate: Of the examples, in Hz.
        lazy_waveforms: Where the utterances are streamed from; None: they lie in `examples`.
    """

    corpus: Corpus
    classes: list[str]
    labels: np.ndarray
    split: splits.Split
    examples: Examples
    sample_rate: int
    lazy_waveforms: LazyWaveforms | None = None

    def waveform(self, utterance: int) -> np.ndarray:
        """An utterance's samples, int16."""
        if self.lazy_waveforms is not None:
            return self.lazy_waveforms.waveform(utterance)
        segments = np.flatnonzero(self.examples.utterance == utterance)
        first, last = segments[0], segments[-1]
        end = self.examples.start[last] + self.examples.length[last]
        return np.asarray(self.examples.samples[self.examples.start[first] : end])

    def check_resident(self, what: str) -> None:
        """Raises InputError if the utterances are streamed, which `what` cannot do with."""
        if self.lazy_waveforms is not None:
            raise InputError(
                f"stream: expected --no-stream with {what}, which needs a corpus whole"
            )


def prepare(
    config: RunConfig, front_end: FrontEnd, console: Console, recordings: Recordings | None = None
) -> RunDataset:
    """Reads, checks and splits the corpus.

    Args:
        config: What to run.
        front_end: Of its model.
        console: Told what is read.
        recordings: Of the same corpora, if they are already read.

    Raises:
        InputError: Something about the corpus or the split does not allow the run.
    """
    recordings = recordings or read(config, front_end, console)
    corpora, target = recordings.corpora, recordings.target
    if config.model.name in classical.names() and isinstance(recordings.waveforms, LazyWaveforms):
        raise InputError(
            f"stream: expected --no-stream with {config.model.name}, which hears all at once"
        )
    crossing = divide(config, corpora, target, recordings.content)
    corpus, waveforms = crossing.corpus, selected(recordings.waveforms, crossing.indices)
    classes = corpus.labels(target)
    if len(classes) < 2:
        raise InputError(
            f"{config.data.dataset}: expected at least 2 classes of {target}: {classes}"
        )
    numbers = np.array([classes.index(str(v)) for v in corpus.column(target)], np.int32)
    longest = front_end.segment_samples
    if isinstance(waveforms, LazyWaveforms):
        start, length, owner = batches.segments(waveforms.lengths, longest)
        examples = Examples(np.zeros(0, np.int16), start, length, numbers[owner], owner)
        unread = waveforms
    else:
        heard = front_end.select_voiced(waveforms)
        examples, unread = batches.pack(heard, numbers.tolist(), longest, room=longest), None
    return RunDataset(
        corpus, classes, numbers, crossing.split, examples, front_end.sample_rate, unread
    )
