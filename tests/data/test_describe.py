"""Descriptions of corpora: counts, printed tables, figures and the command."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from serjax import audio, data, report
from serjax.cli import corpus as describe_command
from serjax.cli import parser
from serjax.data import Identity, labels
from serjax.data.corpora import PUBLISHED
from serjax.data.describe import NONE, Description, describe, print_description
from tests.helpers.trees import touch, write_tone


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    """Writes nine recordings: one is stereo, two are identical, four are unreadable or silent."""
    folder = tmp_path / "ravdess"
    for name, hz, rate in (("03-02", 300, 48000), ("04-02", 400, 16000)):
        write_tone(folder / f"Actor_01/03-01-{name}-01-01-01.wav", 0.5, rate, hz)
    write_tone(folder / "Actor_02/03-01-05-01-01-01-02.wav", 1.5, hz=500, channels=2)
    for take in ("01", "02"):
        write_tone(folder / f"Actor_07/03-01-03-01-02-{take}-07.wav", 1.0, hz=700)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (folder / "Actor_02/03-01-06-01-01-01-02.wav").write_text(pointer)
    touch(folder, "Actor_02/03-01-06-01-01-02-02.wav", "Actor_02/03-01-06-01-02-02-02.wav")
    soundfile.write(folder / "Actor_02/03-01-06-01-02-01-02.wav", np.zeros(4000), 16000)
    return folder


def printed(description: Description) -> list[str]:
    console = Console(width=200, record=True, file=sys.stderr)
    print_description(console, description)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_counts(ravdess: Path):
    description = describe(data.load("ravdess", ravdess), PUBLISHED["ravdess"])
    assert description.target == "emotion"
    np.testing.assert_allclose(
        description.seconds, [0.5, 0.5, 1.5, np.nan, np.nan, 0.25, np.nan, 1.0, 1.0]
    )
    assert description.formats == {(16000, 1): 4, (16000, 2): 1, (48000, 1): 1}
    assert description.duplicates == (
        (
            Identity("Actor_07/03-01-03-01-02-01-07.wav"),
            Identity("Actor_07/03-01-03-01-02-02-07.wav"),
        ),
    )
    assert {reason: [*map(str, u)] for reason, u in description.problems.items()} == {
        "is a git-lfs pointer": ["Actor_02/03-01-06-01-01-01-02.wav"],
        "is empty": ["Actor_02/03-01-06-01-01-02-02.wav", "Actor_02/03-01-06-01-02-02-02.wav"],
        "is silent: all of its samples are equal": ["Actor_02/03-01-06-01-02-01-02.wav"],
    }


def test_differences(ravdess: Path):
    description = describe(data.load("ravdess", ravdess), PUBLISHED["ravdess"])
    # Livingstone & Russo 2018: 1,440 recordings of 24 actors.
    assert list(description.differences()) == [
        ("utterances", 9, 1440),
        ("speakers", 3, 24),
        ("neutral", 0, 96),
        ("calm", 0, 192),
        ("happiness", 3, 192),
        ("sadness", 1, 192),
        ("anger", 1, 192),
        ("fear", 4, 192),
        ("disgust", 0, 192),
        ("surprise", 0, 192),
    ]


def test_more_than_published(tmp_path: Path):
    # EMO-DB 2.0 has 281 more recordings than the first release; they are reported, not dropped.
    names = [f"wav/{s:02d}a{t:02d}Wa.wav" for s in (3, *range(8, 17)) for t in range(1, 14)]
    corpus = data.load("emodb", touch(tmp_path, *names))
    differences = describe(corpus, PUBLISHED["emodb"]).differences()
    assert ("anger", 130, 127) in list(differences)


def test_print(ravdess: Path):
    lines = printed(describe(data.load("ravdess", ravdess), PUBLISHED["ravdess"]))
    assert lines[0] == "ravdess: 9 utterances, 3 speakers, 0.00 hours"
    columns = ["emotion", "utterances", "%", "minutes", "published", "difference"]
    assert lines[2].split() == columns
    assert ["happiness", "3", "33.3", "0.0", "192", "-189"] in [line.split() for line in lines]
    assert ["calm", "0", "0.0", "0.0", "192", "-192"] in [line.split() for line in lines]
    assert ["speaker", "anger", "fear", "happiness", "sadness", "all"] in [
        line.split() for line in lines
    ]
    assert ["02", "1", "4", "0", "0", "5"] in [line.split() for line in lines]
    assert "lengths in seconds: 0.25 to 1.50, median 0.75" in lines
    assert "16,000 Hz, 2 channels: 1 files" in lines
    assert any(line.startswith("same sound: Actor_07/03-01-03-01-02-01") for line in lines)
    assert "problem: 2 of 9: Actor_02/03-01-06-01-01-02-02.wav is empty" in lines
    assert lines[-1].startswith("differs from what is published: utterances 9 not 1,440, speakers")


def test_many_speakers_are_summarized(tmp_path: Path):
    corpus = data.load(
        "voxceleb",
        touch(tmp_path, *(f"id{i:05d}/x/{n:05d}.wav" for i in range(50) for n in range(i % 3 + 1))),
    )
    description = describe(corpus, PUBLISHED["voxceleb"])
    assert description.target == "speaker"
    lines = printed(description)
    assert "utterances of a speaker: 1 to 3, median 2" in lines
    assert any(line.startswith("and 10 more") for line in lines)
    assert not any(line.startswith("lengths") for line in lines)  # nothing can be read
    assert lines[-1] == (
        "differs from what is published: utterances 99 not 153,516, speakers 50 not 1,251"
    )


def test_without_labels_and_speakers(tmp_path: Path):
    write_tone(tmp_path / "[red]" / "a.wav")
    description = describe(data.load("folder", tmp_path))
    assert description.speakers == [NONE]
    assert list(description.differences()) == []
    lines = printed(description)
    assert lines[0].startswith("folder: 1 utterances, 0 speakers")
    assert lines[3].split()[:2] == ["[red]", "1"]  # a name, not rich's markup
    assert "differs" not in "".join(lines)


def test_unlabelled_utterances_are_a_row(tmp_path: Path):
    table = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    touch(tmp_path, str(table.relative_to(tmp_path)))
    table.write_text("[0.0 - 1.0]\tSes01F_impro01_F000\txxx\t[1.0, 1.0, 1.0]")
    write_tone(tmp_path / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    corpus = data.load("iemocap", tmp_path)
    lines = printed(describe(corpus, PUBLISHED["iemocap"]))
    assert [NONE, "1", "100.0", "0.0"] in [line.split() for line in lines]


def test_published_numbers_of_label_sets():
    # Padi et al. 2021, table 2.
    sizes = {"iemocap_exp1": 4490, "iemocap_exp2": 4936, "iemocap_exp3": 5531}
    for name, size in sizes.items():
        assert labels.apply_to_published(PUBLISHED["iemocap"], name).total == size
    merged = labels.apply_to_published(PUBLISHED["iemocap"], "iemocap_exp3")
    assert merged.counts["happiness"] == 1636
    assert merged.speakers == 10


def test_generated_corpus():
    corpus = data.load("synthetic", speakers=3, words=1)
    done = []
    description = describe(corpus, progress=lambda *counts: done.append(counts))
    assert description.formats == {(16000, 1): 12}
    assert np.isfinite(description.seconds).all()
    assert done[-1] == (12, 12)
    assert not description.problems
    assert "16,000 Hz, mono: 12 utterances" in printed(description)


@pytest.mark.corpus
def test_real(ravdess_directory: Path):
    corpus = data.load("ravdess", ravdess_directory)
    description = describe(corpus, PUBLISHED["ravdess"])
    assert list(description.differences()) == []
    assert not description.problems
    assert [[Path(each.path).stem for each in group] for group in description.duplicates] == [
        ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07"]
    ]
    assert description.seconds.min() == pytest.approx(2.94, abs=0.01)
    assert description.seconds.max() == pytest.approx(5.27, abs=0.01)


class TestHeader:
    def test_as_written(self, tmp_path: Path):
        write_tone(tmp_path / "a.wav", sample_rate=24414, channels=2)
        assert audio.header(tmp_path / "a.wav") == (24414, 2)

    def test_not_audio(self, tmp_path: Path):
        (tmp_path / "a.wav").write_text("no")
        with pytest.raises(audio.AudioError, match=r"a\.wav: is not audio"):
            audio.header(tmp_path / "a.wav")
        with pytest.raises(audio.AudioError, match=r"b\.wav: no such file"):
            audio.header(tmp_path / "b.wav")


class TestFigures:
    def test_all(self, ravdess: Path, tmp_path: Path):
        description = describe(data.load("ravdess", ravdess), PUBLISHED["ravdess"])
        paths = report.plot_description(description, tmp_path / "new" / "figures")
        assert [path.name for path in paths] == ["classes.png", "speakers.png", "lengths.png"]
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)

    def test_without_speakers_and_lengths(self, tmp_path: Path):
        description = describe(data.load("folder", touch(tmp_path / "corpus", "calm/a.wav")))
        paths = report.plot_description(description, tmp_path)
        assert [path.name for path in paths] == ["classes.png"]


class TestCommand:
    @pytest.fixture
    def call(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
        def call(*arguments: object) -> tuple[int, str, str]:
            monkeypatch.setattr(sys, "argv", ["serjax.data", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                parser.run_command(describe_command.main)
            return ended.value.code, *capfd.readouterr()

        return call

    def test_describes_and_plots(self, call, ravdess: Path, tmp_path: Path):
        status, output, _ = call("ravdess", "--data-dir", ravdess, "--plot", tmp_path / "figures")
        assert status == 0
        assert "ravdess: 9 utterances" in output
        assert "published" in output
        assert (tmp_path / "figures" / "classes.png").is_file()

    def test_labels_map_the_published_counts_too(self, call, tmp_path: Path):
        touch(tmp_path, *(f"wav/03a01{letter}a.wav" for letter in "WFNTL"))
        status, output, _ = call("emodb", "--data-dir", tmp_path, "--labels", "iemocap_exp1")
        assert status == 0
        assert "kept 4 of 5 utterances, dropped 1 boredom" in output
        # Burkhardt et al. 2005: 127 + 71 + 79 + 62.
        assert "differs from what is published: utterances 4 not 339, speakers 1 not 10" in output

    def test_option_of_the_corpus(self, call):
        status, output, _ = call(
            "synthetic", "--dataset-option", "speakers=3", "--dataset-option", "words=1"
        )
        assert status == 0
        assert "synthetic: 12 utterances, 3 speakers" in output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["ravdes"], "unknown dataset 'ravdes': did you mean 'ravdess'"),
            (["tess"], "TESS: no data directory given"),
            (["synthetic", "--labels", "x"], "unknown label set 'x'"),
            (["synthetic", "--labels", "kapoor"], "needs utterances of frustration"),
        ],
    )
    def test_errors_are_one_line(self, call, arguments: list[str], message: str):
        status, output, errors = call(*arguments)
        assert status == 2
        assert output == ""
        assert message in errors
        assert len(errors.strip().splitlines()) == 1
