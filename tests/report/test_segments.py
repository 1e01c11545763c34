"""Segments of the same recordings in metrics, tables, comparisons and sounds."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from serjax import data, report
from serjax.console import Console
from serjax.data import Identity
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.report.tables.summary import bootstrap_groups
from serjax.training import RunConfig, prepare_dataset
from serjax.training.run_folder.results import predict_splits, write_results
from serjax.training.trackers.progress import Clock
from tests.helpers.run_folders import config

CLASSES = ["anger", "calm"]


def segments(recordings=1, count=8, seed=0, splits=()):
    """Makes random predictions for segments of one second, of one speaker for each recording."""
    size = recordings * count
    probabilities = np.random.default_rng(seed).dirichlet([1, 1], size)
    return report.Predictions(
        classes=CLASSES,
        paths=[f"{i // count}.wav" for i in range(size)],
        speakers=[f"s{i // count}" for i in range(size)],
        true=np.arange(size) % 2,
        predicted=probabilities.argmax(-1),
        probabilities=probabilities,
        splits=splits,
        times=[(float(i % count), i % count + 1.0) for i in range(size)],
    )


def write(folder, predictions):
    folder.mkdir(parents=True)
    report.write_predictions(folder / "predictions.csv", predictions)
    report.write_json(folder / "metrics.json", report.measure(predictions, resamples=20))
    report.write_json(folder / "config.json", config())
    return folder


@pytest.mark.parametrize("recordings", [1, 2])
def test_segments_are_utterances_of_their_own(recordings):
    predictions = segments(recordings)
    assert len(set(predictions.utterances)) == 8 * recordings
    assert bootstrap_groups(predictions, "utterances") is None
    measured = report.measure(predictions)
    assert measured["test"]["utterances"] == 8 * recordings
    # The same predictions of separate recordings have the same intervals.
    paths = [f"{i}.wav" for i in range(8 * recordings)]
    assert report.measure(dataclasses.replace(predictions, paths=paths, times=())) == measured


def test_repeated_predictions_for_a_segment_are_resampled_together():
    once = segments()
    twice = dataclasses.replace(
        once,
        **{
            name: [*getattr(once, name)] * 2
            for name in ("paths", "speakers", "true", "predicted", "probabilities", "times")
        },
        splits=(),
    )
    groups = bootstrap_groups(twice, "utterances")
    assert groups.tolist() == [*range(8)] * 2
    single = report.Predictions(CLASSES, ["a"] * 2, ["s"] * 2, [0, 0], [0, 1], np.eye(2))
    assert report.measure(single)["test"]["wa"]["value"] == 0.5


def test_the_table_of_predictions_has_the_times(tmp_path):
    predictions = segments(splits=["test"] * 7 + ["validation"])
    predictions.times[3] = (3.0, float("inf"))
    report.write_predictions(tmp_path / "p.csv", predictions)
    header, *lines = (tmp_path / "p.csv").read_text().splitlines()
    assert header.startswith('"path","start","end","split"')
    assert lines[3].startswith('"0.wav",3.0,"","test"')
    read = report.read_predictions(tmp_path / "p.csv")
    assert read.utterances == predictions.utterances
    assert read.of_split("validation").utterances == [Identity("0.wav", 7.0, 8.0)]


def test_runs_on_segments_are_compared_segment_by_segment(tmp_path):
    first, second = segments(2, seed=1), segments(2, seed=2)
    order = np.random.default_rng(0).permutation(16)
    shuffled = dataclasses.replace(
        second,
        **{
            name: [getattr(second, name)[i] for i in order]
            for name in ("paths", "speakers", "true", "predicted", "probabilities", "times")
        },
        splits=(),
    )
    folders = [
        write(tmp_path / name, each)
        for name, each in (("a", first), ("b", second), ("c", shuffled))
    ]
    comparison = report.compare(folders[0], folders[1], resamples=50)
    assert comparison == report.compare(folders[0], folders[2], resamples=50)
    assert (comparison["utterances"], comparison["predictions"]) == (16, 16)
    assert comparison["mcnemar"] is not None
    other = dataclasses.replace(second, times=[(s, e + 0.5) for s, e in second.times])
    write(tmp_path / "d", other)
    with pytest.raises(InputError, match=r"16 are only in .*, such as 0\.wav \(0 s to 1 s\)"):
        report.compare(folders[0], tmp_path / "d")


def test_sets_of_runs_and_ensembles_keep_the_segments(tmp_path):
    write(tmp_path / "all" / "fold-1", segments())
    write(tmp_path / "all" / "fold-2", segments())
    report.write_json(tmp_path / "all" / "config.json", config(protocol="folds"))
    report.write_run_set(tmp_path / "all", ["fold-1", "fold-2"], resamples=20)
    pooled = report.read_predictions(tmp_path / "all" / "predictions.csv")
    assert pooled.utterances == segments().utterances * 2
    report.write_ensemble(tmp_path / "all", ["fold-1", "fold-2"])
    mean = report.read_predictions(tmp_path / "all" / "predictions.csv")
    assert mean.utterances == segments().utterances
    later = dataclasses.replace(segments(), times=[(s + 1, e + 1) for s, e in segments().times])
    write(tmp_path / "all" / "fold-3", later)
    with pytest.raises(InputError, match="expected the utterances of fold-1, found others"):
        report.write_ensemble(tmp_path / "all", ["fold-1", "fold-3"])


@pytest.fixture(scope="module")
def dialogs(tmp_path_factory):
    """A corpus of four dialogs, each of eight utterances at another pitch."""
    folder = tmp_path_factory.mktemp("dialogs")
    lines = ["path,emotion,speaker,start,end"]
    time = np.arange(8000) / 16000
    for speaker in range(4):
        tones = [np.sin(2 * np.pi * (200 + 40 * i + speaker) * time) for i in range(8)]
        soundfile.write(folder / f"d{speaker}.wav", 0.5 * np.concatenate(tones), 16000)
        lines += [
            f"d{speaker}.wav,{CLASSES[i % 2]},s{speaker},{i / 2},{(i + 1) / 2}" for i in range(8)
        ]
    (folder / "table.csv").write_text("\n".join(lines))
    return folder


def test_a_run_on_segments_is_reported_with_the_sound_of_each(dialogs, tmp_path):
    settings = RunConfig.make(dataset="csv", data_dir=str(dialogs), split="speaker")
    dataset = prepare_dataset(settings, front_ends.GUIZZO_REAL, Console(quiet=True))
    wrong = np.eye(2)[1 - dataset.labels] * 0.8 + 0.1
    predictions = predict_splits(lambda rows: wrong[rows], dataset)
    assert len(set(predictions.utterances)) == len(predictions) == 16
    report.write_json(tmp_path / "config.json", config("svm"))
    write_results(tmp_path, predictions, {}, dataset, Clock(), Console(quiet=True))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["test"]["utterances"] == 8
    page = (tmp_path / "report.html").read_text()
    sounds = {part.split("'")[0] for part in page.split("data:audio/wav;base64,")[1:]}
    assert len(sounds) == 6  # one for each of the hardest utterances, none twice
    assert "(0.5 s to 1 s)" in page


def test_a_list_of_splits_may_have_times(dialogs, tmp_path):
    corpus = data.load("csv", dialogs)
    sets = {"s0": "test", "s1": "validation"}
    rows = [(u.path, u.start, u.end, sets.get(u.speaker, "train")) for u in corpus.utterances]
    table = tmp_path / "split.csv"
    table.write_text("path,start,end,split\n" + "\n".join(",".join(map(str, r)) for r in rows))
    split = data.splits.split(corpus, "predefined", split_file=table)
    assert {corpus.utterances[i].speaker for i in split.test} == {"s0"}
    without_times = tmp_path / "paths.csv"
    without_times.write_text("path,split\n" + "\n".join(f"{r[0]},{r[3]}" for r in rows))
    again = data.splits.split(corpus, "predefined", split_file=without_times)
    np.testing.assert_array_equal(again.test, split.test)
    changed = table.read_text().replace("d0.wav,0.0,0.5,test", "d0.wav,0.0,0.5,train")
    table.write_text(changed)
    with pytest.raises(InputError, match=r"recording in two sets: d0\.wav \(0 s to 0\.5 s\)"):
        data.splits.split(corpus, "predefined", split_file=table)
