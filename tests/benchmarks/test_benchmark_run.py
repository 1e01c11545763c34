import json
import re

import jax
import numpy as np
import pytest

from benchmarks import metadata
from serjax.errors import InputError
from tests.helpers.benchmark_runs import ROOT, read_rows, run_script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "kernel"), "did you mean 'kernels'"),
        (("--rounds", "0"), "--rounds: expected at least 1, found 0"),
        (("--dtype", "float16"), "float16"),
        (("--out", ROOT / "README.md"), "--out: expected a folder, found a file"),
    ],
)
def test_user_errors_are_one_line(arguments, message, tmp_path):
    result = run_script(*arguments, cwd=tmp_path)  # from any directory
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "models", "--models", "vgg17"), "did you mean 'vgg1"),
        (("--suite", "kernels", "--models", "vgg16"), "--models: expected --suite models"),
        (("--models", "vgg16"), "or anti_transfer, found none"),
        (
            ("--suite", "anti_transfer", "--models", "dscnn"),
            "--models: expected quat_vgg16 or vgg16, found 'dscnn'",
        ),
        (("--suite", "training", "--models", "vgg17"), "did you mean 'vgg1"),
        (("--parallel", "pmaps"), "did you mean 'pmap'"),
        (("--scan-steps", "0"), "--scan-steps: expected at least 1, found 0"),
        (("--suite", "features", "--dtype", "bfloat16"), "expected --dtype float32"),
        (("--compare", ROOT / "tests", ROOT / "docs"), "--compare: expected a folder with JSON"),
    ],
)
def test_user_errors_are_reported_before_anything_is_measured(command, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        command(*arguments)


def test_results_are_written_and_not_measured_again(command, install_suite, tmp_path):
    suite = install_suite({"real": np.arange(1.0, 6.0), "quaternion": np.full(5, 2.0)})
    assert command("--rounds", 5, "--out", tmp_path) == 0
    stem = f"synthetic-{jax.default_backend()}-float32"
    written = {f"{stem}.{kind}" for kind in ("csv", "json", "md", "png")}
    written |= {"report.html", "results.md"}
    assert {path.name for path in tmp_path.iterdir()} == written
    content = json.loads((tmp_path / f"{stem}.json").read_text())
    assert content["commit"] == "0123456789ab"
    assert content["jax"] == jax.__version__
    assert content["rows"][0]["ms_samples"] == [1, 2, 3, 4, 5]
    assert "| a | real | 3.00 [2.00, 4.00] | 0.333 |" in (tmp_path / f"{stem}.md").read_text()
    assert (tmp_path / f"{stem}.png").read_bytes()[:4] == b"\x89PNG"
    results = (tmp_path / "results.md").read_text()
    for entry in (content["command"], content["device"], content["date"], "commit 0123456789ab"):
        assert entry in results

    assert suite.measured_cases == ["a", "b"]
    assert command("--rounds", 5, "--out", tmp_path) == 0
    assert suite.measured_cases == ["a", "b"]  # both measured before
    path = tmp_path / f"{stem}.json"
    path.write_text(
        json.dumps({**content, "rows": [r for r in content["rows"] if r["what"] != "b"]})
    )
    assert command("--rounds", 5, "--out", tmp_path) == 0
    assert suite.measured_cases == ["a", "b", "b"]  # as after an interruption between the two
    assert command("--rounds", 6, "--out", tmp_path) == 0
    assert suite.measured_cases == ["a", "b", "b", "a", "b"]  # other settings
    assert [row["what"] for row in read_rows(path)] == ["a", "a", "b", "b"]


def test_uncommitted_code_is_measured_again(command, install_suite, monkeypatch, tmp_path):
    suite = install_suite({"real": np.ones(2)})
    monkeypatch.setattr(metadata, "commit", lambda: "0123456789ab-dirty")
    for _ in range(2):
        command("--rounds", 2, "--out", tmp_path)
    assert suite.measured_cases == ["a", "b"] * 2
