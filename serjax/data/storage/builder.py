"""Every corpus as a TFDS dataset: array_record files, written without TensorFlow.

`write` stores a corpus. Importing this module registers a builder for each of `serjax.data.names()`
with TFDS, so that its own functions find them too:

    tfds.builder("serjax_emodb", recordings="EMODB", data_dir="OUT").download_and_prepare()
    tfds.data_source("serjax_emodb", recordings="EMODB", data_dir="OUT", split="train")
"""

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from rich.progress import track

from serjax import audio, data
from serjax.data import splits
from serjax.data.batches import from_int16, to_int16
from serjax.data.corpora import LOADERS
from serjax.data.corpus import Corpus, CorpusError, Utterance, attempts
from serjax.data.storage import store

VERSION = "1.0.0"
_RECORDS_PER_FILE = 4096


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes a corpus as a TFDS dataset of one split.

    A record holds an utterance: its audio, int16 `[samples]` stored as bytes, and the columns of
    its table, named as `serjax.data.storage.store.field_names` says. A text that is None is empty, a
    number NaN; `label` is a `ClassLabel`, -1 for None. What is cut from a longer recording is
    stored cut.

    Args:
        corpus: What is written.
        sample_rate: Of the stored waveforms, in Hz; the dataset's configuration is named after it.
        skip_bad_files: Leave out what can't be read, and note it, instead of raising.
        **kwargs: Of `tfds.core.DatasetBuilder`, such as `data_dir`.
    """

    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        *,
        corpus: Corpus,
        sample_rate: int = 16000,
        skip_bad_files: bool = False,
        **kwargs: Any,
    ) -> None:
        self.name = f"serjax_{corpus.name}"
        self._corpus = corpus
        self._sample_rate = sample_rate
        self._skip_bad_files = skip_bad_files
        config = tfds.core.BuilderConfig(name=f"{sample_rate}hz", version=VERSION)
        self.BUILDER_CONFIGS = [config]
        kwargs.setdefault("file_format", "array_record")
        super().__init__(config=config, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        names = store.field_names(self._corpus.name)
        features: dict[str, Any] = {
            names["audio"]: tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
        }
        for column in store.TEXTS:
            features[names[column]] = tfds.features.Text()
            if names[column] == "label":
                classes = self._corpus.labels(column)
                features["label"] = tfds.features.ClassLabel(names=classes)
        for column in store.NUMBERS:
            # As bytes, because the records' own numbers have 32 bits.
            features[names[column]] = tfds.features.Tensor(
                shape=(), dtype=np.float64, encoding="bytes"
            )
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self._corpus.name}, mono, 16 bits at {self._sample_rate} Hz",
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                corpus=self._corpus.name,
                sample_rate=self._sample_rate,
                written_from=digest(self._corpus),
            ),
            disable_shuffling=True,
        )

    def _log_download_bytes(self) -> None:
        """Says nothing, where TFDS would say that it downloads what is only read."""

    def _log_download_done(self) -> None:
        """Says nothing, where TFDS would say that it has downloaded."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {store.SPLIT: self._generate_examples()}

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        """Writes records as they come.

        TFDS itself gathers and sorts them first, and needs TensorFlow for more than 1000 MiB.
        """
        (generated,) = self._split_generators(dl_manager).values()
        records = track(
            (record for _, record in generated),
            f"writing {self._corpus.name}",
            total=len(self._corpus),
            transient=True,
        )
        files = tfds.core.ShardedFileTemplate(
            dataset_name=self.name,
            data_dir=self.data_path,
            split=store.SPLIT,
            filetype_suffix="array_record",
            template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
        )
        counts: list[int] = []
        size = 0
        while some := list(itertools.islice(records, 1)):
            path = files.sharded_filepath(shard_index=len(counts), num_shards=None)
            # One record in a group: they are read by random access.
            writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
            count = 0
            for record in itertools.chain(some, itertools.islice(records, _RECORDS_PER_FILE - 1)):
                serialized = self.info.features.serialize_example(record)
                writer.write(serialized)
                size += len(serialized)
                count += 1
            writer.close()
            counts.append(count)
        info = tfds.core.SplitInfo(
            name=store.SPLIT, shard_lengths=counts, num_bytes=size, filename_template=files
        )
        return [info]

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        names = store.field_names(self._corpus.name)
        written: list[Utterance] = []
        samples: list[int] = []
        content: list[str] = []
        notes = list(self._corpus.notes)
        for utterance, heard in attempts(self._corpus, self._sample_rate):
            if isinstance(heard, audio.AudioError):
                if not self._skip_bad_files:
                    raise audio.AudioError(f"{heard}; --skip-bad-files writes the rest") from heard
                notes.append(f"skipped, can't be read: {heard}")
                continue
            waveform = to_int16(heard)
            record: dict[str, Any] = {names["audio"]: waveform}
            for column in store.TEXTS:
                missing = store.NO_LABEL if names[column] == "label" else ""
                record[names[column]] = getattr(utterance, column) or missing
            for column in store.NUMBERS:
                value = getattr(utterance, column)
                record[names[column]] = math.nan if value is None else value
            yield len(written), record
            written.append(utterance)
            samples.append(len(heard))
            content.append(splits.content_hash(from_int16(waveform)))
        if not written:
            raise audio.AudioError(f"none of {self._corpus.name}'s {len(self._corpus)} can be read")
        self.info.metadata.update(
            table=store.table(written), samples=samples, content=content, notes=notes
        )


class RegisteredBuilder(CorpusBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes one of `serjax.data.names()`.

    Args:
        recordings: The folder the corpus lies in, or a CSV file; None for one that is generated.
        options: The corpus's own, as `serjax.data.load` takes them.
        **kwargs: Of `CorpusBuilder`.
    """

    corpus_name: str

    def __init__(
        self,
        *,
        recordings: str | Path | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        corpus = data.load(self.corpus_name, recordings, **(options or {}))
        super().__init__(corpus=corpus, **kwargs)


for _name in sorted(LOADERS.keys() - {"tfds"}):
    type(_name, (RegisteredBuilder,), {"name": f"serjax_{_name}", "corpus_name": _name})


def write(
    corpus: Corpus,
    out: str | Path,
    *,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
) -> CorpusBuilder:
    """Stores a corpus as a TFDS dataset, or leaves it where it is stored already.

    The dataset appears complete, by renaming, or not at all; after an interruption it is begun anew
    and what was left of it is removed. So two processes must not write the same one at once.

    Args:
        corpus: What is written.
        out: The folder; the dataset is `serjax_{corpus}/{sample_rate}hz/{version}` in there.
        sample_rate: Of the stored waveforms, in Hz.
        skip_bad_files: Leave out what can't be read, and note it.

    Returns:
        The dataset's builder; `builder.as_data_source("train")` reads it.

    Raises:
        CorpusError: The corpus is empty, or another state of it is stored there.
        serjax.audio.AudioError: A recording can't be read.
    """
    if not len(corpus):
        raise CorpusError(f"{corpus.name}: expected utterances to write, found none")
    if sample_rate <= 0:
        raise CorpusError(f"sample rate: expected more than 0 Hz, found {sample_rate}")
    builder = CorpusBuilder(
        corpus=corpus,
        sample_rate=sample_rate,
        skip_bad_files=skip_bad_files,
        data_dir=Path(out).expanduser(),
    )
    folder = Path(builder.data_dir)
    if folder.exists():
        found = store.metadata(folder)
        if found["written_from"] != digest(corpus):
            raise CorpusError(
                f"{folder}: holds {len(found['samples'])} utterances of another table of "
                f"{corpus.name} than the {len(corpus)} to write; expected another folder"
            )
        return builder
    for leftover in folder.parent.glob(f"incomplete.*_{folder.name}"):
        shutil.rmtree(leftover)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
    return builder


def digest(corpus: Corpus) -> str:
    """Returns a hash of a corpus's table, by which a stored one is known again."""
    columns = json.dumps(store.table(corpus.utterances), sort_keys=True)
    return hashlib.sha256(columns.encode("utf-8", "surrogateescape")).hexdigest()
