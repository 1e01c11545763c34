"""Cross-validation, cross-corpus tests and comparisons, as functions and as commands."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serjax import data, protocols, report, training
from serjax.errors import InputError
from serjax.protocols import run_set
from serjax.training.input.recordings import read_tables, split_corpora
from tests.helpers.commands import call
from tests.helpers.trees import emodb

pytestmark = pytest.mark.usefixtures("standard_promotion")

ROOT = Path(__file__).resolve().parents[2]
TINY = ("--dataset-option", "speakers=6", "--dataset-option", "words=2")
LDA = ("--model", "lda", "--model-option", "shrinkage=0.1")


@pytest.fixture
def command(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda script, *arguments: call(monkeypatch, capfd, script, *arguments)


@pytest.fixture(scope="module")
def validated(tmp_path_factory):
    """A finished cross-validation."""
    config = training.RunConfig.make(
        model="lda",
        model_options={"shrinkage": 0.1},
        dataset_options={"speakers": 6, "words": 2},
        split="speaker",
    )
    out = tmp_path_factory.mktemp("series") / "lda"
    return protocols.cross_validate(config, folds=3, out=out)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


class TestEnsembles:
    @pytest.fixture
    def ran(self, monkeypatch):
        """Runs instead of training: the answers of a member are its seed's."""
        found = {}

        def run(config, *, out, recordings, **_):
            found[str(out)] = config
            out.mkdir(parents=True)
            (corpus,), target = recordings.corpora, recordings.target
            number, count = data.splits.parse_fold(config.data.fold)
            seed = config.split_seed
            folds = data.splits.folds(
                corpus, config.data.split, target=target, folds=count, seed=seed
            )
            tested = [corpus.utterances[i] for i in folds[number - 1].test]
            classes = corpus.labels(target)
            share = 0.9 if config.seed == 3 else 0.4
            rest = (1 - share) / (len(classes) - 1)
            predictions = report.Predictions(
                classes=classes,
                paths=[utterance.path for utterance in tested],
                speakers=[utterance.speaker for utterance in tested],
                true=[classes.index(utterance.emotion) for utterance in tested],
                predicted=[0] * len(tested),
                probabilities=[[share] + [rest] * (len(classes) - 1)] * len(tested),
            )
            report.write_predictions(out / "predictions.csv", predictions)
            report.write_json(out / "metrics.json", report.measure(predictions, resamples=2))

        monkeypatch.setattr(run_set, "run", run)
        return found

    def test_members_share_a_division_and_answer_together(self, ran, tmp_path):
        config = training.RunConfig.make(
            model="dscnn", dataset_options={"speakers": 6, "words": 1}, split="random", seed=3
        )
        folder = protocols.cross_validate(config, folds=3, members=2, out=tmp_path / "all")
        members = {Path(name).relative_to(folder).as_posix(): c for name, c in ran.items()}
        assert list(members)[:3] == ["fold-1/member-1", "fold-1/member-2", "fold-2/member-1"]
        assert {(c.seed, c.data.split_seed) for c in members.values()} == {(3, 3), (4, 3)}
        together = report.read_predictions(folder / "predictions.csv")
        assert len(together) == len(set(together.paths)) == 24
        np.testing.assert_allclose(together.probabilities[:, 0], 0.65)
        summary = report.read_summary(folder / "summary.json")
        assert [row["run"] for row in summary["runs"]] == ["fold-1", "fold-2", "fold-3"]

    def test_chance_does_not_change_a_classical_model(self, ran, tmp_path):
        config = training.RunConfig.make(
            model="knn", dataset_options={"speakers": 6, "words": 1}, split="random"
        )
        folder = protocols.cross_validate(config, folds=3, members=2, out=tmp_path / "all")
        names = [Path(name).relative_to(folder).as_posix() for name in ran]
        assert names == ["fold-1", "fold-2", "fold-3"]

    def test_none_is_too_few(self):
        with pytest.raises(InputError, match="members: expected at least 1, found 0"):
            protocols.cross_validate(training.RunConfig.make(split="random"), members=0)

    def test_the_split_has_a_seed_of_its_own(self):
        config = training.RunConfig.make(
            model="knn", dataset_options={"speakers": 6, "words": 1}, split="random", seed=1
        )
        corpora, target = read_tables(config)
        divided = {
            seeds: split_corpora(
                config.replace(seed=seeds[0], split_seed=seeds[1]), corpora, target
            ).split.test.tolist()
            for seeds in ((1, None), (2, None), (2, 1))
        }
        assert divided[2, 1] == divided[1, None] != divided[2, None]


class TestCrossValidation:
    def test_models_and_protocols_make_a_table_that_resumes(self, command, tmp_path):
        arguments = ("--model", "lda,knn", "--protocol", "random,speaker", "--folds", "3", *TINY)
        status, output, errors = command("cross_validate", *arguments, "--out", "table")
        assert status == 0, errors
        names = ["lda-random", "knn-random", "lda-speaker", "knn-speaker"]
        table = (tmp_path / "table" / "table.md").read_text().splitlines()
        assert [line.split(" | ")[:2] for line in table[2:]] == [
            [f"| {model}", protocol] for model, protocol in (name.split("-") for name in names)
        ]
        for line, name in zip(table[2:], names, strict=True):
            summary = json.loads((tmp_path / "table" / name / "summary.json").read_text())
            assert f"{100 * summary['pooled']['ua']['value']:.1f} (" in line

        status, _, errors = command("cross_validate", *arguments, "--out", "table")
        assert status == 2
        assert "--resume" in errors
        status, output, _ = command("cross_validate", *arguments, "--out", "table", "--resume")
        assert status == 0
        assert "fold-1" not in output

    def test_every_utterance_is_tested_once_and_the_files_agree(self, validated):
        corpus = data.load("synthetic", speakers=6, words=2)
        rows = rows_of(validated / "predictions.csv")
        assert sorted(row["path"] for row in rows) == sorted(corpus.column("path"))
        summary = json.loads((validated / "summary.json").read_text())
        folds = rows_of(validated / "folds.csv")
        assert [row["run"] for row in folds] == ["fold-1", "fold-2", "fold-3"]
        for row in folds:
            own = rows_of(validated / row["run"] / "predictions.csv")
            right = [r["true"] == r["predicted"] for r in own if r["split"] == "test"]
            assert float(row["wa"]) == pytest.approx(np.mean(right))
            assert int(row["utterances"]) == len(right)
            config = json.loads((validated / row["run"] / "config.json").read_text())
            assert config["data"]["fold"] == f"{row['run'][-1]}/3"
            assert (validated / row["run"] / "report.html").exists()
        ua = [float(row["ua"]) for row in folds]
        assert summary["mean"]["ua"] == pytest.approx(np.mean(ua))
        assert summary["standard_deviation"]["ua"] == pytest.approx(np.std(ua, ddof=1))
        pooled = np.mean([row["true"] == row["predicted"] for row in rows])
        assert summary["pooled"]["wa"]["value"] == pytest.approx(pooled)
        assert summary["interval"]["over"] == "speakers"

    def test_table_and_page(self, validated):
        table = (validated / "table.md").read_text()
        folds = rows_of(validated / "folds.csv")
        assert f"| fold-2 | {folds[1]['utterances']} | {100 * float(folds[1]['wa']):.1f} |" in table
        assert "bootstrap over speakers" in table
        page = (validated / "report.html").read_text()
        assert "<h2>Runs</h2>" in page
        assert "fold-3" in page
        assert "<h2>Training</h2>" not in page

    def test_command_with_seeds(self, command, tmp_path):
        arguments = (*LDA, *TINY, "--folds", "3", "--seeds", "2", "--out", "out")
        status, output, errors = command("cross_validate", *arguments)
        assert status == 0, errors
        assert "standard deviation" in output
        names = [f"seed-{seed}-fold-{fold}" for seed in (0, 1) for fold in (1, 2, 3)]
        assert [row["run"] for row in rows_of(tmp_path / "out" / "folds.csv")] == names

        # What is finished stays, what is missing is run, and the sums are the same.
        before = (tmp_path / "out" / "summary.json").read_bytes()
        kept = (tmp_path / "out" / names[0] / "metrics.json").stat().st_mtime_ns
        (tmp_path / "out" / names[1] / "report.html").unlink()
        status, output, errors = command("cross_validate", *arguments, "--resume")
        assert status == 0, errors
        assert output.count("finished before") == 5
        assert (tmp_path / "out" / names[0] / "metrics.json").stat().st_mtime_ns == kept
        assert (tmp_path / "out" / "summary.json").read_bytes() == before

    def test_leave_one_speaker_out(self, command, tmp_path):
        arguments = (*LDA, *TINY, "--dataset-option", "speakers=3", "--out", "out")
        arguments += ("--protocol", "leave_one_speaker_out")
        status, _, errors = command("cross_validate", *arguments)
        assert status == 0, errors
        assert len(rows_of(tmp_path / "out" / "folds.csv")) == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (
                ("--protocol", "predefined"),
                "unknown protocol 'predefined': known are leave_one_session_out",
            ),
            (("--folds", "0"), "folds: expected at least 3, found 0"),
            (("--folds", "2"), "folds: expected at least 3"),
            (("--folds", "7"), "a speaker split needs 7 speakers"),
            (("--protocol", "leave_one_speaker_out", "--folds", "3"), "folds: expected none with"),
            (("--seeds", "0"), "seeds: expected at least 1, found 0"),
            (("--members", "0"), "members: expected at least 1, found 0"),
            (("--epochs", "3"), "--epochs: expected none with lda, found 3"),
            (("--model", "ldaa"), "did you mean 'lda'?"),
        ],
    )
    def test_bad_arguments(self, command, arguments, message):
        status, _, errors = command("cross_validate", *LDA, *TINY, *arguments)
        assert status == 2
        assert message in errors
        assert len(errors.strip().splitlines()) == 1

    def test_another_series_in_the_folder(self, command, validated):
        arguments = (*LDA, *TINY, "--folds", "3", "--out", validated)
        status, _, errors = command("cross_validate", *arguments)
        assert status == 2
        assert "found another run" in errors
        status, _, errors = command("cross_validate", *arguments, "--resume", "--seed", "4")
        assert status == 2
        assert "--resume found another run there: seed 0 not 4" in errors


def test_a_signal_leaves_a_cross_validation_that_resumes(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = (
        *("--model", "dscnn", "--model-option", "hidden=16", "--epochs", "3", *TINY),
        *("--folds", "3", "--batch-size", "4"),
    )

    def start(out, *more):
        return subprocess.Popen(
            [sys.executable, "experiments/cross_validate.py", *arguments, "--out", out, *more],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    out = tmp_path / "out"
    process = start(out)
    until = time.monotonic() + 200
    while not list((out / "fold-2" / "checkpoints" / "last").glob("[0-9]*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "resume with: python experiments/cross_validate.py" in errors
    assert "--resume" in errors
    kept = (out / "fold-1" / "metrics.json").stat().st_mtime_ns
    process = start(out, "--resume")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert (out / "fold-1" / "metrics.json").stat().st_mtime_ns == kept
    assert output.count("finished before") == 1
    assert "resumed at epoch" in output
    assert len(rows_of(out / "folds.csv")) == 3


class TestCrossCorpus:
    def test_command(self, command, tmp_path):
        emodb(tmp_path / "corpus", speakers=("03", "08", "09", "10"))
        arguments = (*LDA, "--train", "synthetic", "--train-option", "speakers=6")
        arguments += ("--train-option", "words=2", "--test", "emodb", "--test-dir", "corpus")
        status, output, errors = command("cross_corpus", *arguments, "--out", "out")
        assert status == 0, errors
        assert "tested on emodb" in output
        rows = rows_of(tmp_path / "out" / "seed-0" / "predictions.csv")
        tested = [row for row in rows if row["split"] == "test"]
        # Anger, neutral and sadness are in both; the synthetic corpus has happiness besides.
        assert len(tested) == 4 * 3 * 2
        assert all(row["path"].startswith("emodb/") for row in tested)
        assert all(
            row["path"].startswith("synthetic/") for row in rows if row["split"] == "validation"
        )
        assert set(tested[0]) >= {"p_anger", "p_neutral", "p_sadness"}
        assert "p_happiness" not in tested[0]
        config = json.loads((tmp_path / "out" / "seed-0" / "config.json").read_text())
        assert any("happiness left out" in note for note in config["notes"])
        assert "tested on emodb" in (tmp_path / "out" / "report.html").read_text()

    def test_nothing_in_common(self, command, tmp_path):
        emodb(tmp_path / "corpus", letters="LE")
        arguments = (*LDA, "--train", "synthetic", "--test", "emodb", "--test-dir", "corpus")
        status, _, errors = command("cross_corpus", *arguments)
        assert status == 2
        assert "expected at least 2 classes of emotion common to synthetic and emodb" in errors

    def test_recordings_in_both(self, command, tmp_path):
        for name in ("a", "b"):
            emodb(tmp_path / name, speakers=("03", "08", "09", "10"))
        arguments = (*LDA, "--train", "emodb", "--train-dir", "a", "--test", "emodb")
        status, _, errors = command("cross_corpus", *arguments, "--test-dir", "b")
        assert status == 2
        assert "the cross split puts the same recording in two sets" in errors


class TestClassicalRun:
    def test_folder(self, command, tmp_path):
        arguments = (*LDA, *TINY, "--split", "random", "--out", "run")
        status, output, errors = command("train", *arguments)
        assert status == 0, errors
        names = {path.name for path in (tmp_path / "run").iterdir()}
        assert names >= {"config.json", "metrics.json", "predictions.csv", "confusion.png"}
        assert names >= {"report.html", "timing.json"}
        assert not names & {"history.csv", "checkpoints", "curves.png"}
        metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
        assert metrics["hyperparameters"] == {"shrinkage": 0.1}
        assert "weighted F1" in output
        first = (tmp_path / "run" / "metrics.json").read_bytes()
        status, _, errors = command("train", *arguments, "--resume")
        assert status == 0, errors
        assert (tmp_path / "run" / "metrics.json").read_bytes() == first

    def test_long_utterances_are_heard_whole(self, command, tmp_path):
        folder = emodb(tmp_path / "corpus", speakers=("03", "08", "09", "10"))
        noise = 0.1 * np.random.default_rng(9).standard_normal(16000 * 31)
        soundfile.write(folder / "wav" / "03a07Wa.wav", noise, 16000)
        arguments = (*LDA, "--dataset", "emodb", "--data-dir", "corpus", "--out", "run")
        status, _, errors = command("train", *arguments)
        assert status == 0, errors

    def test_has_no_weights_to_predict_with(self, command, validated):
        status, _, errors = command("predict", validated / "fold-1", "x.wav")
        assert status == 2
        assert "expected a run of a network" in errors

    def test_one_fold(self, command, validated, tmp_path):
        arguments = (*LDA, *TINY, "--split", "speaker", "--fold", "2/3", "--out", "run")
        status, _, errors = command("train", *arguments)
        assert status == 0, errors
        whole = (validated / "fold-2" / "predictions.csv").read_bytes()
        assert (tmp_path / "run" / "predictions.csv").read_bytes() == whole

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--fold", "4/3"), "as 2/5; found '4/3'"),
            (("--fold", "1/3", "--split", "predefined"), "unknown protocol 'predefined'"),
            (
                ("--fold", "1/3", "--split", "leave_one_speaker_out"),
                "leave_one_speaker_out of synthetic has 6 folds",
            ),
            (
                ("--fold", "1/3", "--split-file", "x.csv"),
                "--split-file: expected none with fold 1/3",
            ),
            (("--split", "predefined", "--split-file", "x.csv"), "x.csv: expected a CSV file"),
            (("--split", "leave_one_speaker_out"), "unknown split 'leave_one_speaker_out'"),
        ],
    )
    def test_bad_folds_and_lists(self, command, arguments, message):
        status, _, errors = command("train", *LDA, *TINY, *arguments)
        assert status == 2
        assert message in errors


def write_answers(folder, predicted, *, classes=("a", "b"), paths=None, true=None, speakers=None):
    """A folder with predictions of ten utterances of each of four speakers."""
    size = len(predicted)
    folder.mkdir()
    report.write_predictions(
        folder / "predictions.csv",
        report.Predictions(
            classes=classes,
            paths=paths or [f"{i}.wav" for i in range(size)],
            speakers=speakers or [f"s{i // 10}" for i in range(size)],
            true=np.zeros(size, int) if true is None else true,
            predicted=np.asarray(predicted),
            probabilities=np.full((size, len(classes)), 1 / len(classes)),
        ),
    )
    return folder


class TestComparison:
    def test_a_run_and_itself(self, command, validated):
        status, output, errors = command("compare", validated, validated, "--format", "json")
        assert status == 0, errors
        found = json.loads(output)
        assert found["first"] == found["second"]
        assert found["mcnemar"]["p"] == 1
        for each in found["difference"].values():
            assert each == {"value": 0, "low": 0, "high": 0, "p": 1}
        status, output, errors = command("compare", validated, validated, "--resamples", "100")
        assert "McNemar" in output
        assert "over speakers, 100 resamples" in output

    def test_utterances_and_classes_in_another_order(self, tmp_path):
        generator = np.random.default_rng(0)
        true, first, second = generator.integers(0, 2, (3, 40))
        paths = [f"{i}.wav" for i in range(40)]
        a = write_answers(tmp_path / "a", first, true=true)
        b = write_answers(tmp_path / "b", second, true=true)
        order = np.arange(40).reshape(4, 10)[::-1].reshape(-1)
        swapped = write_answers(
            tmp_path / "c",
            1 - second[order],
            true=1 - true[order],
            classes=("b", "a"),
            paths=[paths[i] for i in order],
        )
        assert report.compare(a, b) == report.compare(a, swapped)
        found = report.compare(a, b)
        assert found["first"]["wa"] == np.mean(first == true)
        assert found["difference"]["wa"]["value"] == pytest.approx(
            np.mean(first == true) - np.mean(second == true)
        )

    def test_repetitions_are_drawn_together(self, command, tmp_path):
        # Two seeds repeat every prediction, which says no more about new speakers.
        generator = np.random.default_rng(0)
        true, first, second = generator.integers(0, 2, (3, 40))
        paths = [f"{i}.wav" for i in range(40)]

        def write(name, answers, times):
            return write_answers(
                tmp_path / f"{name}-{times}",
                np.tile(answers, times),
                true=np.tile(true, times),
                paths=paths * times,
                speakers=["one"] * 40 * times,
            )

        once, twice = ((write("a", first, n), write("b", second, n)) for n in (1, 2))
        single, double = report.compare(*once), report.compare(*twice)
        assert single["over"] == double["over"] == "utterances"
        assert (double["utterances"], double["predictions"], double["mcnemar"]) == (40, 80, None)
        for key, each in double["difference"].items():
            assert each["value"] == pytest.approx(single["difference"][key]["value"])
            # Other draws of equally many utterances.
            for end in ("low", "high"):
                assert each[end] == pytest.approx(single["difference"][key][end], abs=0.02)
        measured = [
            report.measure(report.read_predictions(folder / "predictions.csv"))
            for folder in (once[0], twice[0])
        ]
        widths = [each["test"]["ua"]["high"] - each["test"]["ua"]["low"] for each in measured]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)
        status, output, errors = command("compare", *twice)
        assert status == 0, errors
        assert "40 utterances, 80 predictions" in output
        assert "McNemar" not in output

    def test_errors(self, command, tmp_path):
        a = write_answers(tmp_path / "a", np.zeros(40, int))
        fewer = write_answers(tmp_path / "fewer", np.zeros(39, int))
        more = write_answers(
            tmp_path / "more", np.zeros(41, int), paths=[*(f"{i}.wav" for i in range(40)), "0.wav"]
        )
        other = write_answers(tmp_path / "other", np.zeros(40, int), true=np.ones(40, int))
        with pytest.raises(InputError, match="expected the same test utterances; 1 are only in"):
            report.compare(a, fewer)
        with pytest.raises(
            InputError, match=r"the same number of predictions .* found 1 and 2 for 0\.wav"
        ):
            report.compare(a, more)
        with pytest.raises(InputError, match=r"the true classes of 0\.wav differ"):
            report.compare(a, other)
        status, _, errors = command("compare", a, "nowhere")
        assert status == 2
        assert "nowhere/predictions.csv: expected a file, found: No such file" in errors
        status, _, errors = command("compare", a, a, "--resamples", "0")
        assert status == 2
        assert "resamples: expected at least 1, found 0" in errors
