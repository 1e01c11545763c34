"""Writing of corpora as TFDS datasets of array_record files, without TensorFlow.

`write` stores a corpus. Importing this module registers a builder for each of `serjax.data.names()`
with TFDS, so that TFDS's functions find them too; `register_builders` adds corpora that are
registered later:

    tfds.builder("serjax_emodb", recordings="EMODB", data_dir="OUT").download_and_prepare()
    tfds.data_source("serjax_emodb", recordings="EMODB", data_dir="OUT", split="train")
"""

import contextlib
import errno
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from rich.progress import TimeRemainingColumn

from serjax import audio, data
from serjax.console import Console
from serjax.data import splits
from serjax.data.batches import from_int16, stored_16_bits
from serjax.data.corpus import Corpus, CorpusError, Utterance, attempts
from serjax.data.storage import fields, store
from serjax.files.locks import locked

VERSION = "1.0.0"
_RECORDS_PER_FILE = 4096


class CorpusBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Writes a corpus as a TFDS dataset of one split.

    A record holds an utterance: its audio, int16 `[samples]` stored as bytes, and the columns of
    its table, see `serjax.data.storage.fields.record`. A segment of a recording is stored without
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
        labelled = fields.labelled_column(corpus.name)
        self._classes = None if labelled is None else corpus.labels(labelled)
        config = tfds.core.BuilderConfig(name=f"{sample_rate}hz", version=VERSION)
        self.BUILDER_CONFIGS = [config]
        kwargs.setdefault("file_format", "array_record")
        root = Path(os.path.expanduser(kwargs.get("data_dir") or tfds.core.constants.DATA_DIR))
        folder = root / self.name / config.name / VERSION
        if folder.exists():
            # TFDS would import what a foreign description names.
            store.check_description(folder, store.metadata(folder))
        try:
            super().__init__(config=config, **kwargs)
        except Exception as error:  # of a damaged description, which TFDS reads too
            raise CorpusError(f"{folder}: cannot be opened: {error}") from error

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self._corpus.name}, mono, 16 bits at {self._sample_rate} Hz",
            features=fields.features(self._corpus.name, self._classes),
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
        return {fields.SPLIT: self._generate_examples()}

    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[Any]:
        """Writes records one by one.

        TFDS would collect and sort them first, and need TensorFlow for more than 1000 MiB.
        """
        (generated,) = self._split_generators(dl_manager).values()
        records = (record for _, record in generated)
        files = tfds.core.ShardedFileTemplate(
            dataset_name=self.name,
            data_dir=self.data_path,
            split=fields.SPLIT,
            filetype_suffix="array_record",
            template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
        )
        with Console().progress(TimeRemainingColumn()) as progress:
            total, title = len(self._corpus), f"writing {self._corpus.name}"
            tracked = iter(progress.track(records, total=total, description=title))
            counts, size = self._write_records(tracked, files)
        info = tfds.core.SplitInfo(
            name=fields.SPLIT, shard_lengths=counts, num_bytes=size, filename_template=files
        )
        return [info]

    def _write_records(
        self, records: Iterator[dict[str, Any]], files: tfds.core.ShardedFileTemplate
    ) -> tuple[list[int], int]:
        """Writes the files of records; returns the records of each, and their bytes in all."""
        counts: list[int] = []
        size = 0
        while first := list(itertools.islice(records, 1)):
            path = files.sharded_filepath(shard_index=len(counts), num_shards=None)
            # One record per group, because records are read by random access.
            with _writing(path):
                writer = ArrayRecordWriter(os.fspath(path), "group_size:1")
            count = 0
            for record in itertools.chain(first, itertools.islice(records, _RECORDS_PER_FILE - 1)):
                serialized = self.info.features.serialize_example(record)
                with _writing(path):
                    writer.write(serialized)
                size += len(serialized)
                count += 1
            with _writing(path):
                writer.close()
            counts.append(count)
        return counts, size

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        names = fields.field_names(self._corpus.name)
        written: list[Utterance] = []
        samples: list[int] = []
        gains: list[float] = []
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
            audio_samples, gain = stored_16_bits(waveform)
            columns = fields.record(self._corpus.name, self._classes, utterance)
            yield len(written), {names["audio"]: audio_samples, **columns}
            written.append(utterance)
            samples.append(len(waveform))
            gains.append(gain)
            restored = from_int16(audio_samples, gain)
            content.append(splits.content_id(restored, self._sample_rate))
        if not written:
            raise audio.AudioError(f"none of {self._corpus.name}'s {len(self._corpus)} can be read")
        self.info.metadata.update(
            classes=self._classes,
            table=fields.table(written),
            samples=samples,
            gain=gains,
            content=content,
            notes=notes,
        )
        self.info.metadata["checksum"] = store.checksum(self.info.metadata)


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
    files are removed and the dataset is written from scratch. A second process that writes the
    same dataset at once is refused, unless the file system has no locks.

    Args:
        corpus: The corpus.
        out: Folder to write to; the dataset is `serjax_{corpus}/{sample_rate}hz/{version}` in it.
        sample_rate: Sample rate of the stored waveforms, in Hz.
        skip_bad_files: Skip unreadable recordings and note them, instead of raising.

    Returns:
        The builder of the dataset; `builder.as_data_source("train")` reads it.

    Raises:
        CorpusError: The corpus is empty, or another state of it is stored there.
        InputError: Another process is writing the same dataset.
        OSError: The dataset cannot be written, such as on a full disk; no part of it remains.
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
        data_dir=os.path.expanduser(out),
    )
    folder = Path(builder.data_dir)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        busy = f"{folder}: another process is writing the corpus there; wait for its end"
        with locked(folder.parent / f".{folder.name}.lock", busy):
            if not folder.exists():  # which another process may have written since
                _write(builder, folder)
    stored = store.metadata(folder)
    if stored["written_from"] != digest(corpus):
        raise CorpusError(
            f"{folder}: holds {len(stored['samples'])} utterances of another table of "
            f"{corpus.name} than the {len(corpus)} to write; expected another folder"
        )
    return builder


def _write(builder: CorpusBuilder, folder: Path) -> None:
    """Writes a dataset, after the remains of an interrupted process are removed."""
    for leftover in folder.parent.glob(f"incomplete.*_{folder.name}"):
        shutil.rmtree(leftover)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raises OSError for the errors of the writer of records, which only name it in words.

    Raises:
        OSError: The file cannot be written, such as on a full disk.
    """
    try:
        yield
    except RuntimeError as error:
        codes = (code for code in errno.errorcode if os.strerror(code) in str(error))
        code = next(codes, errno.EIO)
        raise OSError(code, os.strerror(code), os.fspath(path)) from error


def digest(corpus: Corpus) -> str:
    """Returns a hash of the table of a corpus, which identifies a stored corpus."""
    columns = json.dumps(fields.table(corpus.utterances), sort_keys=True)
    return hashlib.sha256(columns.encode("utf-8", "surrogateescape")).hexdigest()
