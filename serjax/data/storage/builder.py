"""Writing of corpora as TFDS datasets of array_record files, without TensorFlow.

`write` stores a corpus. Importing this module registers a builder for each of `serjax.data.names()`
with TFDS, so that TFDS's functions find them too; `register_builders` adds corpora that are
registered later:

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
from serjax.data.corpus import Corpus, CorpusError, Utterance, attempts
from serjax.data.storage import store

VERSION = "1.0.0"
_RECORDS_PER_FILE = 4096


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes a corpus as a TFDS dataset of one split.

    A record holds an utterance: its audio, int16 `[samples]` stored as bytes, and the columns of
    its table, with the names of `serjax.data.storage.store.field_names`. None is stored as an empty
    text, as NaN, or as -1 in `label`, a `ClassLabel`. A segment of a recording is stored without
    the rest of the recording.

    Args:
        corpus: The corpus.
        sample_rate: Sample rate of the stored waveforms, in Hz; it is the name of the dataset's
            configuration.
        skip_bad_files: Skip unreadable recordings and note them, instead of raising.
        **kwargs: Arguments of `tfds.core.DatasetBuilder`, such as `data_dir`.
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
        """Prints nothing: TFDS would print a download, but nothing is downloaded."""

    def _log_download_done(self) -> None:
        """Prints nothing: TFDS would print a download, but nothing is downloaded."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {store.SPLIT: self._generate_examples()}

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        """Writes records one by one.

        TFDS would collect and sort them first, and need TensorFlow for more than 1000 MiB.
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
        while first := list(itertools.islice(records, 1)):
            path = files.sharded_filepath(shard_index=len(counts), num_shards=None)
            # One record per group, because records are read by random access.
            writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
            count = 0
            for record in itertools.chain(first, itertools.islice(records, _RECORDS_PER_FILE - 1)):
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
        for utterance, waveform in attempts(self._corpus, self._sample_rate):
            if isinstance(waveform, audio.AudioError):
                if not self._skip_bad_files:
                    raise audio.AudioError(
                        f"{waveform}; --skip-bad-files writes the rest"
                    ) from waveform
                notes.append(f"skipped, can't be read: {waveform}")
                continue
            audio_samples = to_int16(waveform)
            record: dict[str, Any] = {names["audio"]: audio_samples}
            for column in store.TEXTS:
                missing = store.NO_LABEL if names[column] == "label" else ""
                record[names[column]] = getattr(utterance, column) or missing
            for column in store.NUMBERS:
                value = getattr(utterance, column)
                record[names[column]] = math.nan if value is None else value
            yield len(written), record
            written.append(utterance)
            samples.append(len(waveform))
            content.append(splits.content_hash(from_int16(audio_samples)))
        if not written:
            raise audio.AudioError(f"none of {self._corpus.name}'s {len(self._corpus)} can be read")
        self.info.metadata.update(
            table=store.table(written), samples=samples, content=content, notes=notes
        )


class RegisteredBuilder(CorpusBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes one of `serjax.data.names()`, as TFDS calls it.

    Args:
        recordings: Folder of the corpus, or CSV file; None for a generated corpus.
        options: Options of the corpus, see `serjax.data.load`.
        **kwargs: Arguments of `CorpusBuilder`.
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


def register_builders() -> None:
    """Registers a builder with TFDS for every corpus of `serjax.data.names()` without one."""
    registered = tfds.list_builders(with_community_datasets=False)
    for name in data.names():
        if name != "tfds" and f"serjax_{name}" not in registered:
            # TFDS registers a class when it is created.
            type(name, (RegisteredBuilder,), {"name": f"serjax_{name}", "corpus_name": name})


register_builders()


def write(
    corpus: Corpus,
    out: str | Path,
    *,
    sample_rate: int = 16000,
    skip_bad_files: bool = False,
) -> CorpusBuilder:
    """Stores a corpus as a TFDS dataset, unless it is stored already.

    The complete dataset is renamed to its folder at the end. After an interruption, the remaining
    files are removed and the dataset is written from scratch. So two processes must not write the
    same dataset at once.

    Args:
        corpus: The corpus.
        out: Folder to write to; the dataset is `serjax_{corpus}/{sample_rate}hz/{version}` in it.
        sample_rate: Sample rate of the stored waveforms, in Hz.
        skip_bad_files: Skip unreadable recordings and note them, instead of raising.

    Returns:
        The builder of the dataset; `builder.as_data_source("train")` reads it.

    Raises:
        CorpusError: The corpus is empty, or another state of it is stored there.
        serjax.audio.AudioError: A recording cannot be read.
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
        stored = store.metadata(folder)
        if stored["written_from"] != digest(corpus):
            raise CorpusError(
                f"{folder}: holds {len(stored['samples'])} utterances of another table of "
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
    """Returns a hash of the table of a corpus, which identifies a stored corpus."""
    columns = json.dumps(store.table(corpus.utterances), sort_keys=True)
    return hashlib.sha256(columns.encode("utf-8", "surrogateescape")).hexdigest()
