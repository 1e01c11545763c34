"""Waveforms that stay where they are stored until they are asked for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from serjax.data.batches import to_int16
from serjax.data.corpus import Corpus, Reader, Utterance
from serjax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class LazyWaveforms:
    """The waveforms of utterances, each read when it is asked for.

    Attributes:
        sources: What reads each, and the utterance.
        lengths: `[utterances]` int64, samples of each.
        content: Hash of each, see `serjax.data.splits.content_hash`.
        sample_rate: In Hz.
    """

    sources: tuple[tuple[Reader, Utterance], ...]
    lengths: np.ndarray
    content: tuple[str, ...]
    sample_rate: int

    @classmethod
    def of(cls, corpora: Sequence[Corpus], sample_rate: int) -> "LazyWaveforms":
        """Those of corpora, one after the other; nothing is read.

        Raises:
            InputError: A corpus's lengths are known only when it is read.
            serjax.audio.AudioError: It has other sample rates.
        """
        sources: list[tuple[Reader, Utterance]] = []
        found: list[tuple[int, str]] = []
        for corpus in corpora:
            if corpus.measure is None:
                raise InputError(
                    f"stream: expected corpora of --dataset tfds, found {corpus.name}; "
                    "`serjax corpus NAME --write FOLDER` stores one"
                )
            sources += [(corpus.read, utterance) for utterance in corpus.utterances]
            found += [corpus.measure(utterance, sample_rate) for utterance in corpus.utterances]
        lengths, content = zip(*found, strict=True)
        return cls(tuple(sources), np.array(lengths, np.int64), content, sample_rate)

    def __len__(self) -> int:
        return len(self.sources)

    def waveform(self, index: int) -> np.ndarray:
        """Reads a waveform, int16 `[samples]`. Safe to call from several threads."""
        read, utterance = self.sources[index]
        return to_int16(read(utterance, self.sample_rate))

    def select(self, indices: Sequence[int] | np.ndarray) -> "LazyWaveforms":
        """The waveforms at `indices`, in that order."""
        kept = [int(i) for i in indices]
        return dataclasses.replace(
            self,
            sources=tuple(self.sources[i] for i in kept),
            lengths=self.lengths[kept],
            content=tuple(self.content[i] for i in kept),
        )
