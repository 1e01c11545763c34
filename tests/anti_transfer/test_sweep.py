"""Tests of anti-transfer sweeps: their runs, the chosen layer, and their files."""

import csv
import dataclasses
import importlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from serjax import report, training
from serjax.anti_transfer import sweep
from serjax.errors import InputError

pytestmark = pytest.mark.usefixtures("standard_promotion")

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
BASE = training.RunConfig.make(
    model="dscnn",
    model_options={"hidden": 16},
    dataset_options={"speakers": 6, "words": 2},
    epochs=1,
)


def test_a_sweep_runs_every_combination_once(tmp_path, monkeypatch):
    planned = sweep.Sweep(
        BASE,
        models=["dscnn"],
        methods=["none", "single-s", "dual-sw"],
        layers=[2],
        splits=["speaker"],
    )
    console = Console(record=True, width=200)
    rows = planned.run(tmp_path / "sweep", console, ["command"])
    names = {row["method"]: Path(str(row["folder"])).name for row in rows}
    assert names == {
        "none": "dscnn-speaker-0-none",
        "single-s": "dscnn-speaker-0-speaker-conv2",
        "dual-sw": "dscnn-speaker-0-speaker-word-conv2",
    }
    second = json.loads((tmp_path / "sweep" / names["dual-sw"] / "config.json").read_text())
    # The word's source network, from the weights of the speaker's run.
    assert second["model"]["init"].endswith(names["single-s"])
    assert second["auxiliary_losses"][0]["options"]["source"].endswith(
        "source-networks/dscnn-speaker-0-word"
    )
    assert second["auxiliary_losses"][0]["options"]["layers"] == ["2"]

    monkeypatch.setattr(sweep, "run", lambda *args, **options: pytest.fail("run again"))
    assert planned.run(tmp_path / "sweep", console, ["command"]) == rows
    table = report.write_sweep(tmp_path / "sweep", sweep.accuracies(rows), "About.")
    assert [row["method"] for row in table] == list(names)
    for row in table:
        metrics = report.read_metrics(tmp_path / "sweep" / names[row["method"]] / "metrics.json")
        assert row["test"] == pytest.approx(metrics["test"]["wa"]["value"])
    assert (tmp_path / "sweep" / "layers.png").stat().st_size > 1000
    changed = BASE.replace(dataset_options={"speakers": 6, "words": 2, "seed": 1})
    with pytest.raises(InputError, match="expected a run on the corpus of this one, but the corpu"):
        dataclasses.replace(planned, base=changed).run(tmp_path / "sweep", console, ["command"])


def test_all_layers_are_those_of_each_model(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "read_recordings", lambda *args: None)
    monkeypatch.setattr(sweep, "run", lambda config, *, out, **options: out)
    planned = sweep.Sweep(
        BASE, models=["dscnn", "tiwari_cnn"], methods=["untrained"], splits=["speaker"]
    )
    rows = planned.run(tmp_path, Console(quiet=True), [])
    layers = {
        model: [row["layer"] for row in rows if row["model"] == model] for model in planned.models
    }
    # Both papers count their convolutions: seven, and five.
    assert layers == {"dscnn": list(range(1, 8)), "tiwari_cnn": list(range(1, 6))}


def test_an_embedding_is_left_out_for_models_without_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "read_recordings", lambda *args: None)
    started = {}
    monkeypatch.setattr(
        sweep,
        "run",
        lambda config, **options: started.update({config.model.name: config.model.embedding}),
    )
    base = BASE.replace(embedding="pretrained")
    planned = sweep.Sweep(base, ["dscnn", "quat_dscnn"], ["none"], splits=["speaker"])
    console = Console(file=io.StringIO(), width=200)
    planned.run(tmp_path, console, [])
    assert started == {"dscnn": None, "quat_dscnn": "pretrained"}
    assert "dscnn has no embedding that could be pretrained\n" in console.file.getvalue()
    with pytest.raises(InputError, match="embedding: expected none with dscnn, which"):
        sweep.Sweep(base, ["dscnn"], ["none"]).check()


@pytest.mark.parametrize("own_corpus", [False, True])
def test_networks_with_and_without_anti_transfer_start_from_the_same_encoder(
    tmp_path, monkeypatch, own_corpus
):
    monkeypatch.setattr(sweep, "read_recordings", lambda *args: None)
    monkeypatch.setattr(sweep, "layers_of", lambda term, student: ("conv2",))
    configs = {}

    def record(config, *, out, **options):
        configs[out.name] = config
        return out

    monkeypatch.setattr(sweep, "run", record)
    base = BASE.replace(embedding="pretrained")
    planned = sweep.Sweep(
        base,
        models=["dscnn", "quat_dscnn"],
        methods=["none", "single-s", "dual-ws", "encoder-s"],
        layers=[2],
        splits=["speaker"],
        source=base.replace(dataset_options={"seed": 1}) if own_corpus else None,
    )
    rows = planned.run(tmp_path, Console(quiet=True), [])
    assert [(row["model"], row["method"]) for row in rows] == [
        *(("dscnn", method) for method in ("none", "single-s", "dual-ws")),
        *(("quat_dscnn", method) for method in ("none", "single-s", "dual-ws", "encoder-s")),
    ]
    quaternion = {k: c for k, c in configs.items() if c.model.name == "quat_dscnn"}
    trained = next(k for k in quaternion if k.endswith("speaker-encoder"))
    for name, config in quaternion.items():
        is_source = config.data.target is not None
        assert config.model.freeze == (
            {"embedding": None} if is_source and name != trained else {}
        ), name
        if name.endswith("encoder-s"):
            assert config.model.embedding == str(tmp_path / "source-networks" / trained)
            assert config.auxiliary_losses == ()
        else:
            assert config.model.embedding == "pretrained"
    assert all(c.model.freeze == {} for c in configs.values() if c.model.name == "dscnn")


@pytest.fixture
def rows(tmp_path):
    """Runs of two layers and seeds; layer 5 validates best, layer 2 would test better."""
    rows = []
    rng = np.random.default_rng(0)
    right = {(2, 0): 0.9, (2, 1): 0.9, (5, 0): 0.5, (5, 1): 0.7}
    for (layer, seed), share in right.items():
        true = np.arange(20) % 2
        wrong = np.arange(20) >= round(20 * share)
        predicted = np.where(wrong, 1 - true, true)
        probabilities = np.eye(2)[predicted] * 0.8 + 0.1
        folder = tmp_path / f"run-{layer}-{seed}"
        folder.mkdir()
        report.write_predictions(
            folder / "predictions.csv",
            report.Predictions(
                classes=["a", "b"],
                paths=[f"{i}.wav" for i in range(20)],
                speakers=[str(s) for s in rng.integers(0, 5, 20)],
                true=true,
                predicted=predicted,
                probabilities=probabilities,
                splits=["test"] * 20,
            ),
        )
        rows.append(
            {
                "model": "vgg16",
                "split": "random",
                "seed": seed,
                "method": "single-s",
                "layer": layer,
                "folder": folder,
                "parameters": 10,
                "validation": {2: 0.6, 5: 0.8}[layer],
                "test": share,
            }
        )
    return rows


def test_validation_chooses_the_layer_and_test_is_reported(rows, tmp_path):
    published = {("vgg16", "single-s", "random"): (49.56, 2)}
    (row,) = report.write_sweep(tmp_path, rows, "About it.", published)
    assert row["layer"] == 5
    assert row["test"] == pytest.approx(0.6)
    assert row["test_low"] < 0.6 < row["test_high"]
    assert row["runs"] == 2
    text = (tmp_path / "table.md").read_text()
    assert text.startswith("About it.\n")
    assert "| vgg16 | 10 | single-s | random | 5 | 60.0 |" in text
    assert "| 49.56 | 2 |" in text
    with (tmp_path / "runs.csv").open() as file:
        assert [row["test"] for row in csv.DictReader(file)] == ["0.9", "0.9", "0.5", "0.7"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["single-x"]}, "unknown method 'single-x'.*single-s"),
        ({"layers": [0]}, "layers: expected numbers from 1 on, found 0"),
        ({"models": ["dscn"]}, "unknown model 'dscn'"),
        ({"models": ["dscnn", "svm"]}, "model: expected networks, which have layers, found 'svm'"),
        ({"splits": ["speakers"]}, "unknown split 'speakers'"),
    ],
)
def test_bad_sweeps_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        sweep.Sweep(BASE, **{"models": ["dscnn"], **change}).check()


def test_published_figures_are_those_of_the_paper(monkeypatch):
    table = importlib.import_module("serjax.recipes.guizzo2023").table_1("ravdess")
    # Table 1: Quat-AT, Dual WS, layers 11 and 2.
    assert table["quat_vgg16", "dual-ws", "random"] == (60.44, 11)
    assert table["quat_vgg16", "dual-ws", "speaker"] == (46.67, 2)
    assert table["vgg16", "none", "speaker"] == (45.0, None)
    assert len(table) == 20
