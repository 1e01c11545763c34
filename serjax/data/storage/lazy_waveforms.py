"""Waveforms that are read on access."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from serjax.data.batches import amplified
from serjax.data.corpus import Corpus, Reader, Utterance
from serjax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class LazyWaveforms:
    """The waveforms of utterances, each read on access.

    Attributes:
        sources: Reader of each waveform, and its utterance.
        lengths: `[utterances]` int64, number of samples of each waveform.
        content: Identity of each waveform, see `serjax.data.splits.content_id`.
        sample_rate: Sample rate, in Hz.
    """

    sources: tuple[tuple[Reader, Utterance], ...]
    lengths: np.ndarray
    content: tuple[str, ...]
    sample_rate: int

    @classmethod
    def of(cls, corpora: Sequence[Corpus], sample_rate: int) -> "LazyWaveforms":
        """Returns the waveforms of corpora, one corpus after the other. No waveform is read.

        Args:
            corpora: Stored corpora.
            sample_rate: Sample rate, in Hz.

        Raises:
            InputError: A corpus is not stored, so that its lengths are unknown.
            serjax.audio.AudioError: A corpus is stored at another sample rate.
        """
        sources: list[tuple[Reader, Utterance]] = []
        measurements: list[tuple[int, str]] = []
        for corpus in corpora:
            if corpus.measure is None:
                raise InputError(
                    f"stream: expected corpora of --dataset tfds, found {corpus.name}; "
                    "`serjax corpus NAME --write FOLDER` stores one"
                )
            sources += [(corpus.read, utterance) for utterance in corpus.utterances]
            measurements += [corpus.measure(u, sample_rate) for u in corpus.utterances]
        lengths, content = zip(*measurements, strict=True)
        return cls(tuple(sources), np.array(lengths, np.int64), content, sample_rate)

    def __len__(self) -> int:
        return len(self.sources)

    def waveform(self, index: int) -> np.ndarray:
        """Reads a waveform, int16 `[samples]` at full level. Safe to call from several threads."""
        read, utterance = self.sources[index]
        return amplified(read(utterance, self.sample_rate))[0]

    def select(self, indices: Sequence[int] | np.ndarray) -> "LazyWaveforms":
        """Returns the waveforms at `indices`, in that order."""
        rows = [int(i) for i in indices]
        return dataclasses.replace(
            self,
            sources=tuple(self.sources[i] for i in rows),
            lengths=self.lengths[rows],
            content=tuple(self.content[i] for i in rows),
        )
