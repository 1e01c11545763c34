import json
import re

import numpy as np
import pytest
from rich.console import Console

from benchmarks import comparison
from serjax.errors import InputError


def test_a_planted_regression_is_flagged(command, install_suite, capsys, tmp_path):
    rng = np.random.default_rng(0)
    noise = 1 + 0.01 * rng.normal(size=(6, 20))
    install_suite({"same": noise[0], "worse": noise[1], "better": noise[2]})
    command("--out", tmp_path / "old")
    install_suite({"same": noise[3], "worse": 1.2 * noise[4], "better": 0.8 * noise[5]})
    command("--out", tmp_path / "new")
    capsys.readouterr()
    assert command("--compare", tmp_path / "old", tmp_path / "new") == 1
    output = capsys.readouterr().out
    # In both cases a longer time or a lower rate is slower, and the reverse is faster.
    for form, verdict, ratios in (
        ("same", "tie", {"ms": 1.0, "throughput": 1.0}),
        ("worse", "slower", {"ms": 1.2, "throughput": 1 / 1.2}),
        ("better", "faster", {"ms": 0.8, "throughput": 1 / 0.8}),
    ):
        for case in "ab":
            for quantity, expected in ratios.items():
                pattern = rf"{case}, {form}, {quantity} +([\d.]+) +[\d.]+ – [\d.]+ +(\S.*?) *\n"
                match = re.search(pattern, output)
                assert match is not None, (form, case, quantity)
                assert float(match[1]) == pytest.approx(expected, rel=0.02)
                assert match[2] == verdict
    assert "4 of 12 became slower" in output


def test_few_rounds_give_no_verdict():
    name = ("ms",)
    (few,) = comparison.compare({name: [1.0] * 5}, {name: [2.0] * 5})
    (enough,) = comparison.compare({name: [1.0] * 6}, {name: [2.0] * 6})
    assert (few.ratio, few.verdict) == (2, "too few rounds")
    assert (enough.ratio, enough.verdict) == (2, "slower")


def test_ratios_within_a_run_are_not_compared(tmp_path):
    path = tmp_path / "a.json"
    names = ("ms", "time_vs_real", "step_vs_real", "bandwidth_fraction", "exponent")
    row = {"case": "a", **{f"{name}_samples": [1.0] for name in names}}
    path.write_text(json.dumps({"suite": "synthetic", "dtype": "float32", "rows": [row]}))
    assert list(comparison.read(path)) == [("synthetic", "float32", "a", "ms")]


def test_results_that_cannot_be_compared_are_errors(tmp_path):
    console = Console(quiet=True)
    with pytest.raises(InputError, match="JSON results, found none in"):
        comparison.print_comparison(tmp_path, tmp_path, console)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"a\.json: expected the JSON results of a run"):
        comparison.print_comparison(tmp_path, tmp_path, console)
    for name in "ab":
        rows = [{"case": name, "ms_samples": [1.0]}]
        content = {"suite": "synthetic", "dtype": "float32", "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no row in common"):
        comparison.print_comparison(tmp_path / "a.json", tmp_path / "b.json", console)
