"""Run folders with damaged files: everything is read, or refused in a line.

The budget is `SERJAX_FUZZ` tries (300), the seed 0. The closing counts are in docs/reliability.md.
"""

import collections
import json
import os
import shutil
import traceback

import numpy as np
import pytest
from rich.console import Console

from serjax import report
from serjax.errors import InputError
from serjax.models import pretrained
from serjax.report.plots import drawing
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.run_folder.run_dir import open_folder
from serjax.training.run_folder.trained_run import load_run
from tests.helpers.run_folders import history, predictions
from tests.helpers.trained_runs import CLASSES, write_trained_run

# The beginning of a PNG, with its size.
EMPTY_FIGURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08\0\0\0\x08"
TRIES = int(os.environ.get("SERJAX_FUZZ", "300"))
OPTIONS = {"model": "dscnn", "model_options": {"hidden": 2}, "image_size": (32, 32)}
VALUES = [
    *(None, True, -1, 0, 3, 2**62, 10**30, 0.5, -1e300, "", "x", "\x1b[31m", "../..", "\udcff", []),
    *({}, [[]], {"a": 1}, [None] * 3),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder with every file of a run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config, variables = write_trained_run(folder, **OPTIONS)
    report.write_predictions(folder / "predictions.csv", predictions(CLASSES))
    report.write_history(folder / "history.csv", history(3))
    report.write_json(folder / "timing.json", {"train": 1.0, "total": 2.0})
    report.write_json(
        folder / "summary.json",
        {
            "runs": [{"run": ".", "utterances": 8, "wa": 0.5, "ua": 0.5, "f1_macro": 0.5}],
            "mean": {"wa": 0.5, "ua": 0.5, "f1_macro": 0.5},
            "standard_deviation": {"wa": 0.0, "ua": 0.0, "f1_macro": 0.0},
            "pooled": {
                name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("wa", "ua", "f1_macro")
            },
            "interval": {"level": 0.95, "over": "speakers", "resamples": 20, "seed": 0},
        },
    )
    return folder, config, variables


def places(content, path=()):
    """Yields the paths of all values of a JSON file."""
    yield path
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in items:
            yield from places(value, (*path, key))


def change_value(content, rng):
    """Replaces, removes or doubles a random value of a JSON file."""
    path = [*places(content)][int(rng.integers(len([*places(content)])))]
    if not path:
        return VALUES[int(rng.integers(len(VALUES)))]
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    kind = rng.integers(4)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1 and isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        parent[path[-1]] = VALUES[int(rng.integers(len(VALUES)))]
    return content


def damage(path, rng):
    """Damages a file in one of the ways in which disks, editors and strangers do."""
    content = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.7:
        changed = json.loads(content)
        for _ in range(int(rng.integers(1, 3))):
            changed = change_value(changed, rng)
        path.write_bytes(json.dumps(changed).encode("utf-8", "surrogateescape"))
        return
    at, end = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    kind = rng.integers(6)
    if kind == 0:
        path.write_bytes(content[:at])
    elif kind == 1:
        path.write_bytes(content[:at] + content[end:])
    elif kind == 2:
        path.write_bytes(content[:end] + content[at:])
    elif kind == 3:
        path.write_bytes(content[:at] + rng.bytes(end - at) + content[end:])
    elif kind == 4 and content:
        flipped = bytearray(content)
        flipped[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(flipped))
    else:
        path.unlink()
        if rng.random() < 0.3:
            path.mkdir()


def read_all(folder, config, variables):
    """Reads a run folder in every way; returns the messages of those that refused it."""

    def is_same(loaded):
        # Whatever is loaded has the weights that were saved.
        for name, expected in variables["params"].items():
            for leaf, array in expected.items():
                np.testing.assert_array_equal(loaded["params"][name][leaf], array)

    def resume():
        with open_folder(folder, True, config, {"classes": CLASSES}, Console(quiet=True)):
            report.read_timing(folder / "timing.json")
            Checkpoints(folder / "checkpoints").restore_best(variables, 0)

    ways = (
        lambda: is_same(load_run(folder).variables),
        lambda: is_same(pretrained.load("dscnn", folder)[1]),
        lambda: report.write_page(folder),
        lambda: report.read_outcome(folder, "row"),
        resume,
    )
    messages = []
    for way in ways:
        try:
            way()
        except InputError as error:
            messages.append(str(error))
    assert all(len(message.splitlines()) == 1 for message in messages), messages
    return messages


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_fuzzed_run_folders_are_read_or_refused_in_a_line(whole, tmp_path, monkeypatch):
    folder, config, variables = whole
    # Figures take most of the time of a page, and are drawn from what is checked before.
    monkeypatch.setattr(drawing, "_render", lambda figure, kind: EMPTY_FIGURE)
    files = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    )
    rng, counts, failures = np.random.default_rng(0), collections.Counter(), []
    for number in range(TRIES):
        copy = shutil.copytree(folder, tmp_path / "copy")
        # The five files of the report are as likely as all those of the checkpoint together.
        tops = [file for file in files if len(file.parts) == 1]
        chosen = tops if rng.random() < 0.6 else files
        file = chosen[int(rng.integers(len(chosen)))]
        damage(copy / file, rng)
        try:
            refused = read_all(copy, config, variables)
            counts["refused with one line" if refused else "read"] += 1
        except Exception as error:
            counts["other"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(
                f"{number} {file}: {type(error).__name__} at {where.filename}:{where.lineno}: "
                f"{str(error)[:200]}"
            )
        shutil.rmtree(copy)
    print(f"\n{TRIES} damaged run folders: {dict(counts)}")
    assert not failures, "\n".join(failures)


def test_the_whole_folder_is_read(whole, tmp_path):
    folder, config, variables = whole
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert read_all(copy, config, variables) == []
