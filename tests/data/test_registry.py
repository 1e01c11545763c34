"""Corpora that are registered from outside the package."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from serjax import data
from serjax.cli import corpus as corpus_command
from serjax.cli import parser
from serjax.data import CorpusError, registry
from serjax.data.corpora import LOADERS, PUBLISHED
from tests.helpers.trees import write_tone

import tensorflow_datasets as tfds  # isort: skip

NAME = "two_voices"


def load(data_dir: Path, suffix: str = ".wav", takes: Optional[int] = None) -> data.Corpus:  # noqa: UP045
    """Reads files named {speaker}_{emotion}_{take}.wav."""
    assert isinstance(data_dir, Path)
    utterances = []
    for path in data_dir.glob(f"*{suffix}"):
        speaker, emotion, take = path.stem.split("_")
        if takes is None or int(take) <= takes:
            utterances.append(data.Utterance(path.name, emotion=emotion, speaker=speaker))
    return data.corpus_of_files(NAME, utterances, data_dir)


@pytest.fixture
def names() -> Iterator[None]:
    """Removes the registrations of a test at its end."""
    loaders, published = dict(LOADERS), dict(PUBLISHED)
    yield
    for table, before in ((LOADERS, loaders), (PUBLISHED, published)):
        table.clear()
        table.update(before)


@pytest.fixture
def registered(names) -> None:
    decorated = data.register(NAME, speakers=2, counts={"anger": 2, "neutral": 4})(load)
    assert decorated is load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, speaker in enumerate("xy"):
        for j, emotion in enumerate(("anger", "neutral")):
            for take in (1, 2):
                hz = 200 + 100 * i + 50 * j + 10 * take
                write_tone(tmp_path / "in" / f"{speaker}_{emotion}_{take}.wav", hz=hz)
    return tmp_path / "in"


@pytest.mark.usefixtures("registered")
class TestRegistered:
    def test_load(self, folder: Path):
        assert NAME in data.names()
        corpus = data.load(NAME, str(folder))
        assert len(corpus) == 8
        assert corpus.labels("emotion") == ["anger", "neutral"]
        assert len(data.load(NAME, folder, takes=1)) == 4
        assert data.splits.split(corpus, "random", fractions=(0.5, 0.25, 0.25)).train.size == 4

    def test_published_counts(self):
        assert PUBLISHED[NAME] == data.Published({"anger": 2, "neutral": 4}, speakers=2, total=6)

    def test_errors_of_options(self, folder: Path):
        with pytest.raises(CorpusError, match="unknown option of two_voices 'take': did you mean"):
            data.load(NAME, folder, take=1)
        with pytest.raises(
            CorpusError, match="takes: expected a whole number or None, found 'one'"
        ):
            data.load(NAME, folder, takes="one")
        with pytest.raises(CorpusError, match="two_voices: no data directory given; expected"):
            data.load(NAME)

    def test_build(self, folder: Path, tmp_path: Path):
        data.build(NAME, folder, tmp_path / "out", takes=1)
        stored = data.load("tfds", tmp_path / "out")
        assert (stored.name, len(stored)) == (NAME, 4)

    def test_builder_of_tfds(self, folder: Path, tmp_path: Path):
        from serjax.data.storage import builder

        builder.register_builders()
        built = tfds.builder(f"serjax_{NAME}", recordings=folder, data_dir=tmp_path / "out")
        built.download_and_prepare()
        assert len(built.as_data_source("train")) == 8

    def test_join(self, folder: Path, tmp_path: Path):
        write_tone(tmp_path / "emodb/wav/03a01Wa.wav")
        folders = {NAME: str(folder), "emodb": str(tmp_path / "emodb")}
        assert data.load("joined", corpora=folders).labels("speaker") == [
            *("emodb/03", "two_voices/x", "two_voices/y")
        ]

    def test_command(self, folder: Path, monkeypatch, capfd):
        arguments = [NAME, "--data-dir", str(folder), "--dataset-option", "takes=1"]
        monkeypatch.setattr(sys, "argv", ["serjax corpus", *arguments])
        with pytest.raises(SystemExit) as ended:
            parser.run_command(corpus_command.main)
        output, _ = capfd.readouterr()
        assert ended.value.code == 0
        assert "two_voices: 4 utterances, 2 speakers" in output
        assert "differs from what is published: utterances 4 not 6, neutral 2 not 4" in output


@pytest.mark.usefixtures("names")
class TestRegistrationErrors:
    def test_name_that_is_registered(self):
        with pytest.raises(
            CorpusError,
            match=r"register emodb: expected a new name, found that of serjax.*\.emodb\.load",
        ):
            data.register("emodb")(load)
        data.register(NAME)(load)
        with pytest.raises(CorpusError, match="register two_voices: expected a new name, found"):
            data.register(NAME)(lambda data_dir: None)
        assert LOADERS[NAME] is load

    @pytest.mark.parametrize(
        ("loader", "options", "message"),
        [
            (lambda: None, {}, r"with the parameter data_dir, or takes_data_dir=False; found"),
            (lambda folder: None, {}, r"with the parameter data_dir.*<lambda>\(folder\)"),
            (lambda data_dir: None, {"takes_data_dir": False}, "without the parameter data_dir"),
            (lambda data_dir, *others: None, {}, r"that are passed by name, found \*others in"),
            (lambda data_dir, **others: None, {}, r"that are passed by name, found \*\*others in"),
            (lambda data_dir, /: None, {}, "that are passed by name, found data_dir in"),
            (None, {}, "expected a function, found None"),
        ],
    )
    def test_loaders_that_cannot_be_called(self, loader, options, message):
        with pytest.raises(CorpusError, match=f"register two_voices: .*{message}"):
            data.register(NAME, **options)(loader)
        assert NAME not in data.names()

    def test_bad_arguments(self):
        with pytest.raises(CorpusError, match="expected the name of a corpus, found none"):
            data.register("")
        with pytest.raises(CorpusError, match="unknown column of two_voices 'emotoin': did you"):
            data.register(NAME, column="emotoin")

    def test_loader_that_returns_no_corpus(self, tmp_path: Path):
        data.register(NAME)(lambda data_dir: {})
        with pytest.raises(CorpusError, match=r"<lambda> to return a Corpus, found dict"):
            data.load(NAME, tmp_path)

    def test_generated_corpus(self):
        def generate(count: int) -> data.Corpus:
            utterances = tuple(data.Utterance(f"{i}", emotion="anger") for i in range(count))
            return data.Corpus(NAME, utterances, lambda u, rate: np.zeros(rate, np.float32))

        data.register(NAME, takes_data_dir=False)(generate)
        assert NAME not in registry.names_with_data_dir()
        assert NAME not in PUBLISHED
        assert len(data.load(NAME, count=3)) == 3
        with pytest.raises(CorpusError, match="two_voices: expected the option count, found none"):
            data.load(NAME)
        with pytest.raises(CorpusError, match="two_voices takes no data directory; found x"):
            data.load(NAME, "x", count=3)
