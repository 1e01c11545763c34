"""Corpora as TFDS datasets: exact round trips, names of fields, and errors."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from serjax import audio, data, training
from serjax.cli import corpus as describe_command
from serjax.cli import parser
from serjax.data.corpus import Corpus, CorpusError, Utterance
from serjax.data.storage import builder, store
from tests.helpers.trees import touch, write_tone

import tensorflow_datasets as tfds  # isort: skip


@pytest.fixture
def noise() -> Corpus:
    """Returns utterances of white noise of all 16-bit values, with every kind of column."""
    draw = np.random.default_rng(0)
    samples = {f"{i}.wav": draw.integers(-32768, 32768, 400 + 7 * i) for i in range(20)}
    utterances = [
        Utterance("0.wav", "anger", "ä", "a", "s", 0.1, 0.2, 1 / 3, 2.0, 3.0),
        Utterance("0.wav", "anger", "ä", "a", "s", 0.2, 0.3),
        *(Utterance(f"{i}.wav", emotion=("anger", None)[i % 2]) for i in range(1, 20)),
    ]

    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        return samples[utterance.path].astype(np.float32) / 32768

    return Corpus("noise", tuple(utterances), read, ("a note",))


@pytest.mark.parametrize("records_per_file", [4096, 7, 1])
def test_round_trip_is_exact(noise, tmp_path, monkeypatch, records_per_file):
    monkeypatch.setattr(builder, "_RECORDS_PER_FILE", records_per_file)
    folder = builder.write(noise, tmp_path).data_path
    assert len([*folder.glob("*.array_record-*")]) == -(-len(noise) // records_per_file)
    back = data.load("tfds", tmp_path)
    assert (back.name, back.utterances, back.notes) == ("noise", noise.utterances, ("a note",))
    _, expected = data.waveforms(noise)
    _, restored = data.waveforms(back)
    for one, other in zip(expected, restored, strict=True):
        np.testing.assert_array_equal(one, other)


def test_16_bit_file_keeps_its_samples(tmp_path):
    draw = np.random.default_rng(1)
    samples = draw.integers(-32768, 32768, 3000).astype(np.int16)
    path = tmp_path / "in/wav/03a01Wa.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, samples, 16000, subtype="PCM_16")
    built = data.build("emodb", tmp_path / "in", tmp_path / "out")
    (record,) = data.source(tmp_path / "out")
    np.testing.assert_array_equal(record["audio"], samples)
    assert record["audio"].dtype == np.int16
    assert [record[name] for name in ("path", "emotion", "speaker", "text", "session")] == [
        b"wav/03a01Wa.wav",
        b"anger",
        b"03",
        b"a01",
        b"",
    ]
    assert np.isnan(record["start"])
    # TFDS opens the dataset without serjax and reads the same samples.
    (again,) = tfds.builder_from_directory(built.data_dir).as_data_source("train")
    np.testing.assert_array_equal(again["audio"], samples)


@pytest.mark.usefixtures("standard_promotion")
def test_run_on_the_dataset_equals_run_on_the_files(tmp_path):
    draw = np.random.default_rng(0)
    for emotion, level in (("anger", 8000), ("sadness", 500)):
        (tmp_path / "in" / emotion).mkdir(parents=True)
        for i in range(10):
            noise = (level * draw.standard_normal(3200)).clip(-32768, 32767).astype(np.int16)
            soundfile.write(tmp_path / f"in/{emotion}/{i}.wav", noise, 16000, subtype="PCM_16")
    data.build("folder", tmp_path / "in", tmp_path / "stored")
    for dataset, folder in (("folder", "in"), ("tfds", "stored")):
        config = training.RunConfig.make(
            model="lda", dataset=dataset, data_dir=str(tmp_path / folder), split="random"
        )
        training.run(config, out=tmp_path / dataset, console=Console(quiet=True))
        # What is shared names no folder of this machine.
        for name in ("config.json", "report.html"):
            assert str(tmp_path) not in (tmp_path / dataset / name).read_text()
    for name in ("predictions.csv", "metrics.json"):
        files, restored = ((tmp_path / run / name).read_text() for run in ("folder", "tfds"))
        assert restored == files


def test_registered_with_tfds(tmp_path):
    write_tone(tmp_path / "in/1001_DFA_ANG_XX.wav")
    write_tone(tmp_path / "in/1002_DFA_SAD_XX.wav")
    built = tfds.builder("serjax_cremad", recordings=tmp_path / "in", data_dir=tmp_path / "out")
    built.download_and_prepare()
    assert built.info.features["label"].names == ["anger", "sadness"]
    first, second = built.as_data_source("train")
    assert (first["label"], second["label"], first["speaker_id"]) == (0, 1, b"1001")
    assert data.load("tfds", tmp_path / "out").column("emotion") == ["anger", "sadness"]


@pytest.mark.parametrize(
    ("corpus", "builder", "without"),
    [
        ("cremad", "audio/crema_d.py", set()),
        ("fsdd", "datasets/spoken_digit/spoken_digit_dataset_builder.py", set()),
        # TFDS has whole utterances, serjax has their words.
        ("librispeech_words", "datasets/librispeech/librispeech_dataset_builder.py", {"id"}),
        ("savee", "datasets/savee/savee_dataset_builder.py", set()),
        ("speech_commands", "datasets/speech_commands/speech_commands_dataset_builder.py", set()),
        ("voxceleb", "audio/voxceleb.py", set()),
    ],
)
def test_fields_are_those_of_tfds(corpus, builder, without):
    # From their source, because their builders need TensorFlow.
    source = (Path(tfds.__file__).parent / builder).read_text()
    (features,) = (
        call.args[0]
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".FeaturesDict")
    )
    fields = {key.value for key in features.keys}
    assert "label" in fields or "text" in fields
    names = list(store.field_names(corpus).values())
    assert fields - set(names) == without
    assert len(names) == len(set(names))


def test_missing_label_is_that_of_tfds(noise, tmp_path):
    named = dataclasses.replace(noise, name="savee")
    builder.write(named, tmp_path)
    labels = [record["label"] for record in data.source(tmp_path)]
    expected = [{"anger": 0, None: -1}[emotion] for emotion in named.column("emotion")]
    assert set(labels) == {0, -1}
    assert labels == expected


def test_interrupted_build_starts_from_scratch(noise, tmp_path):
    def breaks(utterance: Utterance, sample_rate: int) -> np.ndarray:
        if utterance.path == "7.wav":
            raise KeyboardInterrupt
        return noise.read(utterance, sample_rate)

    broken = Corpus(noise.name, noise.utterances, breaks, noise.notes)
    with pytest.raises(KeyboardInterrupt):
        builder.write(broken, tmp_path)
    with pytest.raises(CorpusError, match=r"expected one dataset in .*, found none"):
        data.load("tfds", tmp_path)
    # The files of a killed process.
    leftover = tmp_path / "serjax_noise/16000hz/incomplete.ABCDEF_1.0.0"
    touch(leftover, "dataset_info.json")
    built = builder.write(noise, tmp_path)
    assert not leftover.exists()
    assert len(data.load("tfds", tmp_path)) == 21
    # A complete dataset is neither written again nor replaced by another corpus of its name.
    before = (Path(built.data_dir) / "metadata.json").stat().st_mtime_ns
    builder.write(noise, tmp_path)
    assert (Path(built.data_dir) / "metadata.json").stat().st_mtime_ns == before
    with pytest.raises(CorpusError, match="holds 21 utterances of another table of noise than the"):
        builder.write(noise.select([0, 1]), tmp_path)


def test_bad_files(tmp_path):
    write_tone(tmp_path / "in/anger/1.wav")
    touch(tmp_path / "in", "anger/2.wav")
    with pytest.raises(audio.AudioError, match=r"2\.wav: is empty .*--skip-bad-files writes the"):
        data.build("folder", tmp_path / "in", tmp_path / "out")
    data.build("folder", tmp_path / "in", tmp_path / "out", skip_bad_files=True)
    back = data.load("tfds", tmp_path / "out")
    assert back.column("path") == ["anger/1.wav"]
    assert "skipped, can't be read: " in back.notes[-1]


def test_errors(noise, tmp_path):
    with pytest.raises(CorpusError, match="tfds: no data directory given; expected a folder that"):
        data.load("tfds")
    with pytest.raises(CorpusError, match="nowhere is no folder"):
        data.load("tfds", tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="expected utterances to write, found none"):
        builder.write(noise.select([]), tmp_path)
    with pytest.raises(CorpusError, match="expected more than 0 Hz, found -1"):
        builder.write(noise, tmp_path, sample_rate=-1)
    builder.write(noise, tmp_path, sample_rate=8000)
    with pytest.raises(audio.AudioError, match="expected waveforms at 16000 Hz, found them stored"):
        data.waveforms(data.load("tfds", tmp_path))
    builder.write(noise, tmp_path, sample_rate=16000)
    with pytest.raises(
        CorpusError, match=r"found serjax_noise/16000hz/1\.0\.0, serjax_noise/8000hz"
    ):
        data.load("tfds", tmp_path)
    folder = tmp_path / "serjax_noise/8000hz/1.0.0"
    (folder / "metadata.json").write_text('{"corpus": "noise"}')
    with pytest.raises(
        CorpusError, match=r"metadata\.json: expected sample_rate, found none; expected a folder"
    ):
        data.load("tfds", folder)
    (folder / "metadata.json").write_text("{")
    with pytest.raises(CorpusError, match=r"metadata\.json: expected JSON, Expecting prop"):
        builder.write(noise, tmp_path, sample_rate=8000)


def test_command(monkeypatch, capfd, tmp_path):
    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["serjax.data", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            parser.run_command(describe_command.main)
        assert ended.value.code == 0
        return capfd.readouterr().out

    write_tone(tmp_path / "in/wav/03a01Wa.wav", seconds=36)
    output = call("emodb", "--data-dir", tmp_path / "in", "--write", tmp_path / "out")
    assert "wrote 1 utterances, 0.01 h, to " in output
    assert "ownload" not in output  # which TFDS prints
    assert len(data.source(tmp_path / "out")) == 1
    # The description of a stored corpus is that of the corpus.
    described = call("tfds", "--data-dir", tmp_path / "out")
    files = call("emodb", "--data-dir", tmp_path / "in")
    assert "differs from what is published" in described
    assert described == files.replace("mono: 1 files", "mono: 1 utterances")


def test_needs_no_tensorflow(tmp_path):
    write_tone(tmp_path / "in/anger/1.wav")
    program = """if True:
        import sys
        from serjax import data
        light = {"tensorflow_datasets", "grain", "array_record"} & set(sys.modules)
        assert not light, light
        data.build("folder", sys.argv[1], sys.argv[2])
        data.waveforms(data.load("tfds", sys.argv[2]))
        assert "tensorflow_datasets" in sys.modules
        assert "tensorflow" not in sys.modules
    """
    arguments = [str(tmp_path / "in"), str(tmp_path / "out")]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
