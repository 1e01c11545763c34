"""The files of a run folder, and what is measured of its predictions."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from serjax import files, report
from tests.helpers.run_folders import history, predictions, write_run

# File names as the operating system gives them: any characters but NUL, and bytes that are not
# UTF-8 as surrogate escapes (PEP 383).
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.just(b"J\xfcrgen/\xe4rger.wav".decode("utf-8", "surrogateescape")),
)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    files.write_text_atomic(path, "old\r\n")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text_atomic(path, "new")
    assert path.read_bytes() == b"old\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    files.write_bytes_atomic(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=9, max_size=9), NAMES)
def test_history_round_trip_is_exact(tmp_path_factory, numbers, name):
    path = tmp_path_factory.getbasetemp() / "history.csv"
    rows = [dict(zip(report.HISTORY_COLUMNS, numbers, strict=True)) | {f"x{name}": 0.1}]
    rows[0]["epoch"] = 3
    report.write_history(path, rows)
    assert report.read_history(path) == rows


def test_history_takes_numpy_and_jax_scalars_and_nan(tmp_path):
    import jax.numpy as jnp

    rows = history(2)
    rows[0]["train_loss"] = np.float32(0.1)
    rows[0]["train_wa"] = jnp.float32(0.1)
    rows[1]["validation_loss"] = float("nan")
    report.write_history(tmp_path / "h.csv", rows)
    first, second = report.read_history(tmp_path / "h.csv")
    assert first["train_loss"] == first["train_wa"] == float(np.float32(0.1))
    assert np.isnan(second["validation_loss"])
    assert isinstance(first["epoch"], int)


@given(
    st.lists(NAMES, min_size=2, max_size=3, unique=True),
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1, width=32)), max_size=4),
)
def test_predictions_round_trip_is_exact(tmp_path_factory, classes, rows):
    path = tmp_path_factory.getbasetemp() / "predictions.csv"
    probabilities = np.array([[row[2]] * len(classes) for row in rows], np.float32)
    written = report.Predictions(
        classes=classes,
        paths=[row[0] for row in rows],
        speakers=[row[1] for row in rows],
        true=np.arange(len(rows)) % 2,
        predicted=np.zeros(len(rows), int),
        probabilities=probabilities.reshape(len(rows), len(classes)),
        splits=["validation"] * len(rows),
    )
    report.write_predictions(path, written)
    read = report.read_predictions(path)
    for field in dataclasses.fields(report.Predictions):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))


def test_json_takes_arrays_and_paths_but_not_nan(tmp_path):
    path = tmp_path / "config.json"
    report.write_json(path, {"a": np.float32(0.5), "b": np.arange(2), "c": tmp_path, "d": "ü"})
    assert json.loads(path.read_text("utf-8")) == {
        "a": 0.5,
        "b": [0, 1],
        "c": str(tmp_path),
        "d": "ü",
    }
    with pytest.raises(ValueError, match="JSON"):
        report.write_json(path, {"loss": float("nan")})
    with pytest.raises(TypeError, match=r"config\.json: cannot write set"):
        report.write_json(path, {"a": {1}})


@pytest.mark.parametrize("name", ["config.json", "predictions.csv", "metrics.json"])
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: expected a file.*No such file"):
        report.write_page(run)


def test_a_run_without_history_has_no_curves(run):
    (run / "history.csv").unlink()
    page = report.write_page(run).read_text("utf-8")
    assert "<h2>Training</h2>" not in page
    assert "<h2>Confusion</h2>" in page
    assert not (run / "curves.png").exists()


def test_a_summary_of_several_runs_is_named(run):
    (run / "summary.json").write_text('{"runs": []}')
    with pytest.raises(ValueError, match=r"summary\.json: expected mean"):
        report.write_page(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: expected JSON"),
        ("config.json", "[]", "config.json: expected a JSON object, found list"),
        ("config.json", '{"model": "a", "split": "b"}', "expected dataset, found none"),
        (
            "config.json",
            '{"model": "a", "dataset": "b", "split": "c", "notes": "d"}',
            "expected a list of strings in notes, found 'd'",
        ),
        ("history.csv", "epoch,seconds\n1,2\n", "found no train_loss, train_wa"),
        ("history.csv", ",".join(report.HISTORY_COLUMNS), "expected at least one epoch"),
        (
            "history.csv",
            ",".join(report.HISTORY_COLUMNS) + "\n1,x,1,1,1,1,1,1,1",
            "line 2: expected a number in column train_loss, found 'x'",
        ),
        (
            "history.csv",
            ",".join(report.HISTORY_COLUMNS) + "\n1,2",
            "line 2: expected 9 columns, found 2",
        ),
        ("history.csv", ",".join((*report.HISTORY_COLUMNS, "epoch")), "different names"),
        ("predictions.csv", "path,true\n", "found no part, speaker, predicted"),
        ("predictions.csv", "part,path,speaker,true,predicted\n", "found part, path"),
        (
            "predictions.csv",
            "path,split,speaker,true,predicted,p_a\nx,test,s,a,b,1\n",
            r"line 2: expected one of the classes \['a'\], found 'b'",
        ),
        (
            "predictions.csv",
            "path,split,speaker,true,predicted,p_a\nx,test,s,a,a,nan\n",
            r"probability in \[0, 1\] in column p_a, found 'nan'",
        ),
        (
            "predictions.csv",
            "path,split,speaker,true,predicted,p_a\nx,test,s,a,a,high\n",
            r"probability in \[0, 1\] in column p_a, found 'high'",
        ),
        ("predictions.csv", 'path,split,speaker,true,predicted\n"x', "line 2: expected CSV"),
        ("metrics.json", "{}", "metrics.json: expected test, found none"),
    ],
)
def test_a_malformed_file_says_what_was_expected(run, name, content, message):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        report.write_page(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["test"].pop("ua"), r"expected test\.ua, found none"),
        (lambda m: m["test"].update(wa=0.5), r"expected test\.wa\.value, found none"),
        (lambda m: m["validation"]["ua"].pop("low"), r"expected validation\.ua\.low, found none"),
        (lambda m: m["per_class"].pop("sad"), r"expected per_class\.sad, found none"),
        (lambda m: m["test"]["ua"].update(low="?"), r"a number in test\.ua\.low, found '\?'"),
        (lambda m: m.update(classes=3), "expected a list of names in classes, found 3"),
        (lambda m: m["confusion"][0].pop(), "expected rows of numbers of one length"),
        (lambda m: m["confusion"].pop(), r"confusion matrix of 3 classes, found shape \(2, 3\)"),
    ],
)
def test_malformed_metrics_say_what_was_expected(run, change, message):
    metrics = json.loads((run / "metrics.json").read_text())
    change(metrics)
    report.write_json(run / "metrics.json", metrics)
    with pytest.raises(ValueError, match=message):
        report.read_metrics(run / "metrics.json")


def test_wrong_rows_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"differs in .*'seconds'"):
        report.write_history(tmp_path / "h.csv", [dict.fromkeys(report.HISTORY_COLUMNS[:-1], 1)])
    arguments = {"paths": ["a"], "speakers": ["s"], "true": [0], "predicted": [0]}
    with pytest.raises(ValueError, match=r"probabilities of 1 utterances must be \(1, 2\)"):
        report.Predictions(classes=["x", "y"], probabilities=[[1]], **arguments)
    with pytest.raises(ValueError, match="true must index 1 classes, got 1 to 1"):
        report.Predictions(classes=["x"], probabilities=[[1]], **arguments | {"true": [1]})
    with pytest.raises(ValueError, match="class names must differ"):
        report.Predictions(classes=["x", "x"], probabilities=[[1, 0]], **arguments)
    assert not list(tmp_path.iterdir())


# Metrics of the predictions


def test_measure_counts_each_part():
    answers = predictions(["a", "b", "c"])
    measured = report.measure(answers, resamples=50)
    test = [i for i, part in enumerate(answers.splits) if part == "test"]
    right = answers.true[test] == answers.predicted[test]
    assert measured["test"]["wa"]["value"] == pytest.approx(right.mean())
    assert measured["test"]["utterances"] == len(test) == np.sum(measured["confusion"])
    assert (measured["test"]["speakers"], measured["validation"]["speakers"]) == (4, 2)
    of_true = answers.probabilities[test, answers.true[test]]
    assert measured["test"]["loss"] == pytest.approx(-np.log(of_true).mean(), rel=1e-5)
    for i, name in enumerate("abc"):
        row = measured["per_class"][name]
        assert row["support"] == (answers.true[test] == i).sum()
        assert row["recall"] == pytest.approx(right[answers.true[test] == i].mean())
    wide = report.measure(answers, over="speakers", resamples=50)
    assert wide["interval"]["over"] == "speakers"
    assert wide["test"]["wa"]["low"] != measured["test"]["wa"]["low"]


def test_measure_of_a_probability_of_zero_is_finite():
    answers = report.Predictions(["a", "b"], ["x"], ["s"], [0], [1], [[0.0, 1.0]])
    assert report.measure(answers)["test"]["loss"] == pytest.approx(87.3, abs=0.1)


def test_measure_checks_its_arguments():
    answers = predictions(["a", "b"])
    with pytest.raises(ValueError, match="got 'rooms'"):
        report.measure(answers, over="rooms")
    with pytest.raises(ValueError, match=r"found parts \{'validation'\}"):
        report.measure(answers.of_split("validation"))


@pytest.mark.parametrize("terminal", [True, False])
def test_summary_shows_every_class_and_interval(terminal):
    measured = report.measure(predictions(["[red]angry", "calm"]), resamples=50)
    out = io.StringIO()
    report.print_summary(Console(file=out, force_terminal=terminal, width=80), measured)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert "[red]angry" in text
    assert "…" not in text
    for part in ("test", "validation"):
        for interval in (measured[part][key] for key in ("wa", "ua", "f1_macro")):
            assert f"{100 * interval['low']:.1f} – {100 * interval['high']:.1f}" in text
    if not terminal:
        assert text.replace("–", "-").isascii()
        assert "\x1b" not in out.getvalue()
