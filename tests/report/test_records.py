"""Files of a run folder: written exactly, read with errors that name them."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax import files, report
from tests.helpers.run_folders import history, write_run

# File names as the operating system gives them: any characters but NUL, and bytes that are not
# UTF-8 as surrogate escapes (PEP 383).
NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.just(b"J\xfcrgen/\xe4rger.wav".decode("utf-8", "surrogateescape")),
)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


def test_failed_write_keeps_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    files.write_text_atomic(path, "old\r\n")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text_atomic(path, "new")
    assert path.read_bytes() == b"old\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_written_file_has_the_mode_of_any_new_file(tmp_path):
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


def test_auxiliary_losses_follow_in_the_order_of_the_first_row(tmp_path):
    rows = history(2, ["anti_transfer", "triplet"])
    rows[1] = dict(reversed(rows[1].items())) | {"train_triplet": 0.5}
    path = tmp_path / "history.csv"
    report.write_history(path, rows)
    header = path.read_text().splitlines()[0].replace('"', "")
    expected = (*report.HISTORY_COLUMNS, "train_anti_transfer", "train_triplet")
    assert header == ",".join(expected)
    losses = report.auxiliary_losses(report.read_history(path))
    assert losses == {
        "anti_transfer": [row["train_anti_transfer"] for row in rows],
        "triplet": [rows[0]["train_triplet"], 0.5],
    }
    assert report.auxiliary_losses(history(2)) == {}


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


# The start and the end of a segment, and a whole recording.
TIMES = st.one_of(
    st.tuples(st.floats(0, 100), st.floats(101, 1e6)),
    st.tuples(st.floats(0, 100), st.just(math.inf)),
    st.just((0.0, math.inf)),
)


@given(
    st.lists(NAMES, min_size=2, max_size=3, unique=True),
    st.lists(st.tuples(NAMES, NAMES, st.floats(0, 1, width=32), TIMES), max_size=4),
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
        times=[row[3] for row in rows],
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
def test_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: expected a file.*No such file"):
        report.write_page(run)


def test_run_without_history_has_no_curves(run):
    (run / "history.csv").unlink()
    page = report.write_page(run).read_text("utf-8")
    assert "<h2>Training</h2>" not in page
    assert "<h2>Confusion</h2>" in page
    assert not (run / "curves.png").exists()


def test_malformed_summary_is_named(run):
    (run / "summary.json").write_text('{"runs": []}')
    with pytest.raises(ValueError, match=r"summary\.json: expected mean"):
        report.write_page(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: expected JSON"),
        ("config.json", "[]", "config.json: expected an object, found a list"),
        ("config.json", '{"data": {}}', "expected model, found none"),
        ("config.json", '{"model": {"name": "a"}}', "expected data, found none"),
        ("config.json", '{"model": {}, "data": {}}', r"expected model\.name, found none"),
        (
            "config.json",
            '{"model": {"name": "a"}, "data": {"split": "b"}}',
            r"expected data\.dataset, found none",
        ),
        (
            "config.json",
            '{"model": {"name": "a"}, "data": {"dataset": "b"}}',
            r"expected data\.split, found none",
        ),
        (
            "config.json",
            '{"model": {"name": "a"}, "data": {"dataset": "b", "split": "c"}, "notes": "d"}',
            "notes: expected a list, found 'd'",
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
        ("predictions.csv", "path,true\n", "found no split, speaker, predicted"),
        ("predictions.csv", "split,path,speaker,true,predicted\n", "found split, path"),
        (
            "predictions.csv",
            "path,start,end,split,speaker,true,predicted,p_a\nx,2,1,test,s,a,a,1\n",
            "line 2: expected a start and a later end in seconds, found",
        ),
        (
            "predictions.csv",
            "path,start,end,split,speaker,true,predicted,p_a\nx,,1,test,s,a,a,1\n",
            "line 2: expected a start and a later end in seconds, found",
        ),
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
def test_malformed_file_is_named_with_the_expected_content(run, name, content, message):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        report.write_page(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["test"].pop("ua"), r"expected test\.ua, found none"),
        (lambda m: m["test"].update(wa=0.5), r"test\.wa: expected an object, found 0\.5"),
        (lambda m: m["validation"]["ua"].pop("low"), r"expected validation\.ua\.low, found none"),
        (lambda m: m["per_class"].pop("sad"), r"per_class: expected .*'sad'\], found"),
        (
            lambda m: m["test"]["ua"].update(low="?"),
            r"test\.ua\.low: expected a number from 0 to 1, found '\?'",
        ),
        (lambda m: m.update(classes=3), "classes: expected a list, found 3"),
        (
            lambda m: m["confusion"][0].pop(),
            r"confusion: expected 3 rows of 3 numbers, found rows of \[2, 3, 3\]",
        ),
        (lambda m: m["confusion"].pop(), r"3 rows of 3 numbers, found rows of \[3, 3\]"),
    ],
)
def test_malformed_metrics_are_named_with_the_expected_content(run, change, message):
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
