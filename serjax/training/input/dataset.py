"""Dataset of a run: the corpus, read, checked, split and cut into examples."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from serjax import data
from serjax.console import Console
from serjax.data import Corpus, batches, splits
from serjax.data.batches import Examples
from serjax.data.storage.lazy_waveforms import LazyWaveforms
from serjax.errors import InputError
from serjax.features.front_ends import FrontEnd
from serjax.training.config import RunConfig
from serjax.training.config.resolve import corpora_of
from serjax.training.input.corpus_hashes import corpus_hashes
from serjax.training.input.recordings import (
    Recordings,
    read_recordings,
    select_waveforms,
    split_corpora,
)


@dataclasses.dataclass(frozen=True)
class RunDataset:
    """Dataset of a run.

    Attributes:
        corpus: Corpus of the utterances that are used.
        classes: Names of the classes.
        labels: Class of each utterance, `[utterances]` int32.
        split: Indices of the training, validation and test set.
        examples: Segments of all utterances, on the host. If they are streamed, they have no
            samples, and starts count from the first sample of the utterance.
        sample_rate: Sample rate of the examples in Hz.
        embeds_audio: Whether the report page holds recordings.
        hashes: Hashes of the corpus and its split, see `corpus_hashes`.
        lazy_waveforms: Source that the utterances are streamed from; None: their samples are in
            `examples`.
    """

    corpus: Corpus
    classes: list[str]
    labels: np.ndarray
    split: splits.Split
    examples: Examples
    sample_rate: int
    embeds_audio: bool
    hashes: Mapping[str, str]
    lazy_waveforms: LazyWaveforms | None = None

    def waveform(self, utterance: int) -> np.ndarray:
        """Returns the samples of an utterance, int16.

        Args:
            utterance: Index of the utterance.
        """
        if self.lazy_waveforms is not None:
            return self.lazy_waveforms.waveform(utterance)
        segments = np.flatnonzero(self.examples.utterance == utterance)
        first, last = segments[0], segments[-1]
        end = self.examples.start[last] + self.examples.length[last]
        return np.asarray(self.examples.samples[self.examples.start[first] : end])

    def check_resident(self, consumer: str) -> None:
        """Checks that the utterances are in memory and not streamed.

        Args:
            consumer: Name in the error message of the method that needs them in memory.

        Raises:
            InputError: They are streamed.
        """
        if self.lazy_waveforms is not None:
            raise InputError(
                f"stream: expected --no-stream with {consumer}, which needs the whole corpus in "
                "memory"
            )


def prepare_dataset(
    config: RunConfig,
    front_end: FrontEnd,
    console: Console,
    recordings: Recordings | None = None,
    corpora: tuple[Corpus, ...] | None = None,
) -> RunDataset:
    """Reads, checks and splits the corpus of a run.

    Args:
        config: Configuration of the run.
        front_end: Front end of its model.
        console: Console that shows the progress of reading.
        recordings: Recordings of the same corpora, if they were read before.
        corpora: Corpora to read the recordings of, instead of those that the configuration names:
            the corpus, and perhaps a second one of the test set.

    Raises:
        InputError: The corpus or its split does not fit the run.
    """
    recordings = recordings or read_recordings(config, front_end, console, corpora)
    if config.is_classical and isinstance(recordings.waveforms, LazyWaveforms):
        raise InputError(
            f"stream: expected --no-stream with {config.model.name}, which needs the whole corpus "
            "in memory"
        )
    target = recordings.target
    corpus_split = split_corpora(config, recordings.corpora, target, recordings.sounds)
    corpus = corpus_split.corpus
    waveforms = select_waveforms(recordings.waveforms, corpus_split.indices)
    classes = corpus.labels(target)
    if len(classes) < 2:
        raise InputError(
            f"{config.data.dataset}: expected at least 2 classes of {target}: {classes}"
        )
    labels = np.array([classes.index(str(name)) for name in corpus.column(target)], np.int32)
    longest = front_end.segment_samples
    lazy_waveforms = None
    if isinstance(waveforms, LazyWaveforms):
        lazy_waveforms = waveforms
        starts, lengths, utterance_ids = batches.segments(waveforms.lengths, longest)
        no_samples = np.zeros(0, np.int16)
        size = batches.padded_size(lengths, longest)
        examples = Examples(no_samples, starts, lengths, labels[utterance_ids], utterance_ids, size)
    else:
        speech = front_end.select_speech(waveforms)
        examples = batches.pack(speech, labels.tolist(), longest, room=longest)
    return RunDataset(
        corpus,
        classes,
        labels,
        corpus_split.split,
        examples,
        front_end.sample_rate,
        embeds_audio(config),
        corpus_hashes(
            [corpus],
            target,
            [recordings.content[i] for i in corpus_split.indices],
            corpus_split.split,
        ),
        lazy_waveforms,
    )


def embeds_audio(config: RunConfig) -> bool:
    """Decides whether the report page of a run holds recordings: by default if licences allow it.

    Args:
        config: Configuration of the run.
    """
    audio = config.system.audio
    return data.is_shareable(corpora_of(config)) if audio is None else audio
