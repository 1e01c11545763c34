import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import types
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from serjax import models, quaternion
from serjax.errors import InputError
from serjax.ops import real_convolution
from serjax.training.state import create_state

ROOT = Path(__file__).parents[2]
NAMES = ("STFT", "log-mel", "MFCC", "SpecAugment")
INSTALLED = {
    form
    for form, name in (("librosa", "librosa"), ("PyTorch", "torch"))
    if importlib.util.find_spec(name) is not None
}


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of the benchmarks."""
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def measure(benchmark):
    return benchmark("measure")


@pytest.fixture
def ceilings(benchmark, monkeypatch):
    """Ceilings of small arrays, measured in no time."""
    module = benchmark("device_peaks")
    found = module.measure(64, 1)
    monkeypatch.setattr(module, "measured", lambda: found)
    return found


@pytest.fixture
def command(benchmark, monkeypatch, ceilings):
    """Runs the command in this process, at a commit without changes."""
    module = benchmark("run")
    monkeypatch.setattr(module, "_commit", lambda: "0123456789ab")

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        return module.main()

    return main


def rows_of(path):
    return json.loads(path.read_text())["rows"]


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_operations_and_memory_of_a_product_are_its_own(measure):
    x, y = jnp.ones((64, 128)), jnp.ones((128, 32))
    program = measure.compile_program(lambda x, y: (x @ y) @ jnp.ones((32, 64)), x, y)
    assert program.operations == pytest.approx(2 * 64 * 32 * (128 + 64), rel=0.05)
    assert program.temporary_bytes >= 64 * 32 * 4
    np.testing.assert_allclose(program.call(x, y), np.full((64, 64), 128.0 * 32))


def test_every_program_is_called_in_every_round(measure):
    calls = []

    def counted(name):
        program = measure.compile_program(lambda x: x + 1, jnp.zeros(()))
        call = lambda x: calls.append(name) or program.call(x)  # noqa: E731
        return measure.Program(call, program.arguments, 0.0, 0, 0, 0.0)

    seconds = measure.time_together({"a": counted("a"), "b": counted("b")}, rounds=20)
    rounds = [tuple(calls[index : index + 2]) for index in range(0, len(calls), 2)]
    assert len(rounds) == 21  # once to warm up
    assert set(rounds) == {("a", "b"), ("b", "a")}
    assert {name: values.shape for name, values in seconds.items()} == {"a": (20,), "b": (20,)}
    assert all((values > 0).all() for values in seconds.values())


def test_every_round_has_inputs_of_its_own_the_same_for_all(measure):
    x, fixed = jnp.arange(1.0, 9.0), jnp.ones(8)
    heard = {"a": [], "b": []}

    def keeping(name):
        program = measure.compile_program(lambda x, y: x + y, x, fixed)

        def call(*given):
            heard[name].append(np.array(given))
            return program.call(*given)

        return measure.renewed(dataclasses.replace(program, call=call), 0)

    measure.time_together({name: keeping(name) for name in heard}, rounds=3)
    np.testing.assert_array_equal(heard["a"], heard["b"])
    rounds = np.array(heard["a"])[1:]  # the first call warms up
    np.testing.assert_array_equal(np.abs(rounds[:, 0]), np.broadcast_to(x, (3, 8)))
    assert len({tuple(one) for one in rounds[:, 0]}) == 3
    assert (rounds[:, 1] == 1).all()


def test_spread_is_median_and_quartiles(measure):
    assert measure.spread(np.arange(5.0)) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "kernel"), "did you mean 'kernels'"),
        (("--rounds", "0"), "--rounds: expected at least 1, found 0"),
        (("--dtype", "float16"), "float16"),
        (("--out", ROOT / "README.md"), "--out: expected a folder, found a file"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message):
    result = run(*arguments)
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
def test_mistakes_are_told_before_anything_is_measured(command, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        command(*arguments)


def test_known_sleeps_are_measured(measure):
    def sleeping(seconds):
        return measure.Program(lambda: time.sleep(seconds), (), None, None, None, 0.0)

    found = measure.time_together({"short": sleeping(0.01), "long": sleeping(0.1)}, rounds=5)
    shortest = {name: seconds.min() for name, seconds in found.items()}
    # A sleep is never shorter than asked; on a busy machine it is longer, but once in five rounds
    # not by so much.
    assert shortest["short"] >= 0.01
    assert shortest["long"] >= 0.1
    assert shortest["long"] > 3 * shortest["short"]


def test_programs_made_together_are_those_made_alone(measure):
    x = jnp.arange(4, dtype=jnp.float32)
    functions = {"sum": jnp.sum, "twice": lambda x: 2 * x, "first": lambda x: x[0]}
    makes = {
        name: functools.partial(measure.compile_program, one, x) for name, one in functions.items()
    }
    made = measure.made_together(makes)
    assert list(made) == list(functions)
    for name, program in made.items():
        np.testing.assert_array_equal(program.call(*program.arguments), functions[name](x))


class Layers(nn.Module):
    """A convolution, a batch norm and a dense layer."""

    @nn.compact
    def __call__(self, x):
        y = nn.Conv(32, (3, 3))(x)
        y = nn.BatchNorm(use_running_average=True)(y)
        return nn.Dense(500)(y.reshape(len(y), -1))


def test_a_fresh_state_is_that_of_a_run_with_other_kernels(measure):
    model, optimizer, shape = Layers(), optax.adam(1e-3), (1, 4, 4, 8)
    expected = create_state(model, optimizer, jax.random.key(0), shape)
    found, other = (measure.fresh_state(model, optimizer, shape, seed=seed) for seed in (0, 1))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for mine, own in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (mine.shape, mine.dtype) == (own.shape, own.dtype)
        if mine.ndim < 2:  # biases, scales, statistics
            np.testing.assert_array_equal(mine, own)
    for layer, fan_in in (("Conv_0", 9 * 8), ("Dense_0", 16 * 32)):
        kernel = found.params[layer]["kernel"]
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / fan_in), rel=0.05)  # He et al., 2015
        assert np.corrcoef(kernel.ravel(), other.params[layer]["kernel"].ravel())[0, 1] < 0.1


def test_a_known_allocation_is_measured(measure):
    x = jnp.zeros(1 << 16, jnp.float32)
    kept = measure.compile_program(lambda x: x + 1, x)
    given = measure.compile_program(lambda x: x + 1, x, donate=(0,))
    assert kept.memory_bytes - kept.temporary_bytes == 2 * x.nbytes  # argument and result
    assert given.memory_bytes - given.temporary_bytes == x.nbytes  # one in the place of the other


def test_the_peak_of_a_process_is_its_own(benchmark, monkeypatch, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("Linux tells a process's peak")
    apart = benchmark("subprocesses")
    (tmp_path / "allocation.py").write_text(
        "import numpy, measure\n"
        "def measured(mib):\n"
        "    before = measure.process_peak_bytes()\n"
        "    numpy.ones(mib << 20, numpy.uint8)\n"
        "    return before, measure.process_peak_bytes()\n"
        "def failing():\n"
        "    raise MemoryError('no room')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before, after = apart.call("allocation", "measured", {"mib": 512})
    assert after - before == pytest.approx(512 << 20, rel=0.1)  # numpy's own alone
    with pytest.raises(InputError, match=r"allocation.*status 1.*no room"):
        apart.call("allocation", "failing", {})


def test_the_interval_of_a_median_holds_it_as_often_as_it_says(measure):
    assert measure.interval(np.arange(10.0)) == (4.5, 1, 8)  # tables of the sign test
    assert measure.interval(np.arange(6.0)) == (2.5, 0, 5)
    assert measure.interval(np.arange(3.0)) == (1, 0, 2)  # the range
    rng = np.random.default_rng(0)
    ends = np.array([measure.interval(rng.exponential(size=20))[1:] for _ in range(500)])
    assert np.mean((ends[:, 0] <= np.log(2)) & (np.log(2) <= ends[:, 1])) > 0.93


def test_an_interval_that_spans_1_is_a_tie(benchmark, measure):
    cells = benchmark("tables")._shown
    tie = measure.comparison("of_real", np.linspace(0.9, 1.2, 9))
    slower = measure.comparison("of_real", np.linspace(1.01, 1.2, 9))
    itself = measure.comparison("of_real", np.ones(9))
    assert cells(tie, "of_real", "time") == "1.05 [0.94, 1.16] tie"
    assert "tie" not in cells(slower, "of_real", "time")
    assert cells(itself, "of_real", "time") == "1"


@pytest.mark.parametrize(
    ("value", "title", "shown"),
    [
        (1234.5, "ms", "1,234"),
        (0.09876, "ms", "0.0988"),
        (20.0, "MiB", "20.0"),
        (0.0, "ms", "0"),
        (0.1234, "% of ceiling", "12.3"),
        (1_000_000, "parameters", "1,000,000"),
        (None, "ms", ""),
    ],
)
def test_numbers_have_three_digits(benchmark, value, title, shown):
    assert benchmark("tables")._shown({"x": value}, "x", title) == shown


def test_columns_of_words_are_told_from_numbers(benchmark):
    suite = types.SimpleNamespace(COLUMNS={"a": "what", "b": "ms", "c": "form"})
    rows = [{"a": "conv", "b": 1.0, "c": None}, {"a": "dense", "b": None, "c": "block"}]
    assert benchmark("tables").texts(suite, rows) == ["what", "form"]


def test_ceilings_are_rates_of_a_product_and_a_copy(ceilings):
    # Any machine of this century makes more, and none in sight so much.
    for rate in (ceilings.flops("float32"), ceilings.flops("bfloat16"), ceilings.copy):
        assert 1e6 < rate < 1e17
    assert "GB/s" in ceilings.describe()


class Suite(types.SimpleNamespace):
    """A suite without programs; `measured` lists the cases that were measured."""

    def __init__(self, settings, samples):
        super().__init__(
            __doc__="Made up.\n\nWhat <it> measures.",
            TITLE="Made up",
            COLUMNS={"what": "what", "form": "form", "ms": "ms", "throughput": "throughput"},
            FIGURE=settings.Figure("ms", "milliseconds", ("what",), reference=1),
            measured=[],
            samples=samples,
        )

    def cases(self, settings):
        return {name: lambda name=name: self._rows(name) for name in ("a", "b")}

    def _rows(self, case):
        self.measured.append(case)
        summary = importlib.import_module("measure").summary
        return [
            {"what": case, "form": form, **summary("ms", ms), **summary("throughput", 1 / ms)}
            for form, ms in self.samples.items()
        ]


@pytest.fixture
def made_up(command, benchmark, monkeypatch):
    """Puts a suite named "made_up" into the place of all, with samples of its own."""

    def put(samples):
        suite = Suite(benchmark("settings"), samples)
        monkeypatch.setattr(benchmark("run"), "SUITES", {"made_up": suite})
        return suite

    return put


def test_results_are_written_shown_and_not_measured_again(command, made_up, tmp_path):
    suite = made_up({"real": np.arange(1.0, 6.0), "quaternion": np.full(5, 2.0)})
    assert command("--rounds", 5, "--out", tmp_path) == 0
    stem = f"made_up-{jax.default_backend()}-float32"
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
    assert "| a | real | 3.00 [2.00, 4.00] | 0.333 |" in results
    assert results.count("| not measured |") == 9
    for told in (content["command"], content["device"], content["date"], "commit 0123456789ab"):
        assert told in results
    page = (tmp_path / "report.html").read_text()
    assert "<td>3.00 [2.00, 4.00]</td>" in page
    assert "What &lt;it&gt; measures." in page
    assert set(re.findall(r"(?:src|srcset|href)='(.{22})", page)) == {"data:image/png;base64,"}
    assert "http://" not in page
    assert "https://" not in page

    assert suite.measured == ["a", "b"]
    assert command("--rounds", 5, "--out", tmp_path) == 0
    assert suite.measured == ["a", "b"]  # both from before
    path = tmp_path / f"{stem}.json"
    path.write_text(
        json.dumps({**content, "rows": [r for r in content["rows"] if r["what"] != "b"]})
    )
    assert command("--rounds", 5, "--out", tmp_path) == 0
    assert suite.measured == ["a", "b", "b"]  # as after a stop between the two
    assert command("--rounds", 6, "--out", tmp_path) == 0
    assert suite.measured == ["a", "b", "b", "a", "b"]  # other settings
    assert [row["what"] for row in rows_of(path)] == ["a", "a", "b", "b"]


def test_changed_files_are_measured_again(command, made_up, benchmark, monkeypatch, tmp_path):
    suite = made_up({"real": np.ones(2)})
    monkeypatch.setattr(benchmark("run"), "_commit", lambda: "0123456789ab-dirty")
    for _ in range(2):
        command("--rounds", 2, "--out", tmp_path)
    assert suite.measured == ["a", "b"] * 2


def test_a_planted_regression_is_flagged(command, made_up, capsys, tmp_path):
    rng = np.random.default_rng(0)
    noise = 1 + 0.01 * rng.normal(size=(6, 20))
    made_up({"same": noise[0], "worse": noise[1], "better": noise[2]})
    command("--out", tmp_path / "old")
    made_up({"same": noise[3], "worse": 1.2 * noise[4], "better": 0.8 * noise[5]})
    command("--out", tmp_path / "new")
    capsys.readouterr()
    assert command("--compare", tmp_path / "old", tmp_path / "new") == 1
    told = capsys.readouterr().out
    # Of both cases: a time that grows and a rate that falls are slower, and the reverse faster.
    for form, verdict, ratios in (
        ("same", "tie", {"ms": 1.0, "throughput": 1.0}),
        ("worse", "slower", {"ms": 1.2, "throughput": 1 / 1.2}),
        ("better", "faster", {"ms": 0.8, "throughput": 1 / 0.8}),
    ):
        for case in "ab":
            for quantity, expected in ratios.items():
                pattern = rf"{case}, {form}, {quantity} +([\d.]+) +[\d.]+ – [\d.]+ +(\S.*?) *\n"
                found = re.search(pattern, told)
                assert found is not None, (form, case, quantity)
                assert float(found[1]) == pytest.approx(expected, rel=0.02)
                assert found[2] == verdict
    assert "4 of 12 became slower" in told


def test_few_rounds_tell_no_change(benchmark):
    changes = benchmark("comparison")
    name = ("ms",)
    (few,) = changes.changes({name: [1.0] * 5}, {name: [2.0] * 5})
    (enough,) = changes.changes({name: [1.0] * 6}, {name: [2.0] * 6})
    assert (few.ratio, few.verdict) == (2, "too few rounds")
    assert (enough.ratio, enough.verdict) == (2, "slower")


def test_results_that_cannot_be_compared_are_told(benchmark, tmp_path):
    changes, console = benchmark("comparison"), Console(quiet=True)
    with pytest.raises(InputError, match="JSON results, found none in"):
        changes.print_comparison(tmp_path, tmp_path, console)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"a\.json: expected the JSON results of a run"):
        changes.print_comparison(tmp_path, tmp_path, console)
    for name in "ab":
        rows = [{"case": name, "ms_samples": [1.0]}]
        content = {"suite": "made_up", "dtype": "float32", "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no row in common"):
        changes.print_comparison(tmp_path / "a.json", tmp_path / "b.json", console)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([1.0, 2.0, 3.1], r"deviates by 3\.3e-02"),
        ([1.0, 2.0, np.nan], "deviates by nan"),
        ([1.0, 2.0], r"expected shape \(3,\), found \(2,\)"),
    ],
)
def test_a_wrong_peer_is_refused(benchmark, capsys, found, message):
    peers = benchmark("baselines")
    peers.check_same("right", [1.0, 2.0, 3.0001], [1.0, 2.0, 3.0], 1e-3)
    with pytest.raises(peers.PeerError, match=message):
        peers.check_same("planted", found, [1.0, 2.0, 3.0], 1e-3)
    for _ in range(2):
        with peers.skipped():
            peers.check_same(f"planted {message}", found, [1.0, 2.0, 3.0], 1e-3)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("peer skipped: planted")


def test_a_missing_peer_is_skipped(benchmark, capsys):
    peers = benchmark("baselines")
    with peers.skipped():
        peers.module("no_such_library", "No Such Library")
    with peers.skipped(), peers.refused("its compiler"):
        raise ZeroDivisionError("division\nof no interest")
    assert capsys.readouterr().err.splitlines() == [
        "peer skipped: No Such Library cannot be imported: No module named 'no_such_library'",
        "peer skipped: its compiler: division",
    ]


@pytest.mark.parametrize("layer", ["dense", "conv 3 x 3", "conv transposed 3 x 3"])
def test_pytorchs_block_form_is_our_product(benchmark, layer):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    rng = np.random.default_rng(0)
    window, image = ((), ()) if layer == "dense" else ((3, 3), (6, 4))
    x = rng.normal(size=(2, *image, 8)).astype(np.float32)
    kernel = rng.normal(size=(4, *window, 2, 3)).astype(np.float32)
    ours = {
        "dense": quaternion.dense,
        "conv 3 x 3": quaternion.conv,
        "conv transposed 3 x 3": lambda x, w: quaternion.conv_transpose(x, w, strides=2),
    }[layer]
    found = benchmark("kernels")._torch_layer(layer)(
        torch.from_numpy(x).movedim(-1, 1), torch.from_numpy(kernel)
    )
    np.testing.assert_allclose(found.movedim(1, -1), ours(x, kernel), rtol=1e-4, atol=1e-4)


def test_features_are_measured_beside_their_peers(
    command, benchmark, monkeypatch, ceilings, tmp_path
):
    module = benchmark("features")
    monkeypatch.setattr(module, "_QUICK_BATCHES", (2,))
    arguments = ("--suite", "features", "--quick", "--peers", "--rounds", 2, "--out", tmp_path)
    assert command(*arguments) == 0
    rows = rows_of(tmp_path / f"features-{jax.default_backend()}-float32.json")
    forms = {name: {row["form"] for row in rows if row["feature"] == name} for name in NAMES}
    assert forms["SpecAugment"] == {"serjax"}
    assert forms["STFT"] == forms["log-mel"] == forms["MFCC"] >= {"serjax", *INSTALLED}
    for row in rows:
        seconds = np.asarray(row["ms_samples"]) / 1e3
        np.testing.assert_allclose(row["hours_per_s_samples"], 2 * 4 / 3600 / seconds)
        # What must move: 2 x 64000 samples, and 2 x 401 frames of 201 complex numbers.
        if (row["feature"], row["form"]) == ("STFT", "serjax"):
            moved = 2 * 4 * (64_000 + 401 * 201 * 2)
            shares = moved / seconds / ceilings.copy
            np.testing.assert_allclose(row["of_bandwidth_samples"], shares)


def test_a_wrong_peer_is_refused_before_it_is_timed(command, benchmark, monkeypatch, tmp_path):
    module, calls = benchmark("features"), []

    def planted(feature, waveforms):
        function = module._functions()[feature]

        def wrong():
            calls.append(feature)
            return 1.01 * np.asarray(function(waveforms))

        return waveforms, wrong

    monkeypatch.setattr(module, "_QUICK_BATCHES", (2,))
    monkeypatch.setattr(module, "_PEERS", {"planted": planted})
    arguments = ("--suite", "features", "--quick", "--peers", "--rounds", 2, "--out", tmp_path)
    assert command(*arguments) == 0
    rows = rows_of(tmp_path / f"features-{jax.default_backend()}-float32.json")
    assert {row["form"] for row in rows} == {"serjax"}
    assert calls == ["STFT", "log-mel", "MFCC"]  # once each, to be checked


def test_exponents_are_those_of_the_powers_that_were_planted(benchmark):
    sizes = np.array([2.0, 8.0, 16.0])
    seconds = np.stack([0.3 * sizes**2, 5 / sizes, np.full(3, 7.0)], axis=1)
    np.testing.assert_allclose(
        benchmark("scaling").exponents(sizes, seconds), [2, -1, 0], atol=1e-12
    )
    # Of points on no line, NumPy's least squares.
    noisy = np.random.default_rng(0).uniform(1, 2, (3, 4))
    found = benchmark("scaling").exponents(sizes, noisy)
    np.testing.assert_allclose(found, np.polyfit(np.log(sizes), np.log(noisy), 1)[0])


def test_growth_is_drawn_a_panel_for_each_quantity(benchmark):
    scaling = benchmark("scaling")
    rows = [
        row
        for against, expected in (("batch", 1.0), ("channels", 2.0))
        for row in scaling._rows(
            against,
            "made up",
            expected,
            {
                size: {"seconds": [size**expected, 1.1 * size**expected], "operations": 3e9}
                for size in (2, 4, 8)
            },
        )
    ]
    assert [row["size"] for row in rows] == ["2", "4", "8"] * 2
    assert {row["gflop"] for row in rows} == {3}
    assert all(row["exponent"] == pytest.approx(row["expected"]) for row in rows)
    figure = scaling.FIGURE.draw(rows, dark=False)
    assert [axes.get_xlabel() for axes in figure.axes] == ["batch", "channels"]
    for axes in figure.axes:
        fitted, expected = axes.get_legend_handles_labels()[1][-2:]
        assert fitted.split() == ["fitted", expected.split()[1]]
    assert scaling.FIGURE.draw([], dark=True) is None


def made_up_results(suite, rows, dtype="float32", product=1e12):
    ceilings = {"float32": product, "bfloat16": product, "copy": 1e10}
    return {"suite": suite, "dtype": dtype, "ceilings": ceilings, "rows": rows}


def standing(benchmark, what, *results):
    """Ours and verdict of the number to beat that begins so."""
    (row,) = [row for row in benchmark("targets").table(results) if row[0].startswith(what)]
    return row[3:]


@pytest.mark.parametrize(
    ("time", "memory", "verdict"),
    [(0.04, 0.15, "reached"), (0.04, 0.16, "missed"), (0.06, 0.1, "missed")],
)
def test_quaternion_vgg16_is_judged_by_time_and_memory(benchmark, time, memory, verdict):
    row = {
        "model": "vgg16",
        "form": "quaternion",
        "step_of_real": time,
        "step_of_real_samples": [time] * 8,
        "memory_of_real": memory,
    }
    ours, found = standing(benchmark, "quaternion VGG16", made_up_results("models", [row]))
    assert found == verdict
    assert f"{100 * time - 100:.1f}" in ours
    assert f"{100 * memory - 100:.1f} % memory" in ours


def test_an_interval_that_spans_the_target_has_not_reached_it(benchmark):
    row = {"model": "vgg16", "form": "quaternion", "step_of_real": 0.04, "memory_of_real": 0.1}
    row["step_of_real_samples"] = [0.04] * 6 + [0.06] * 4
    assert standing(benchmark, "quaternion VGG16", made_up_results("models", [row]))[1] == "missed"


def test_products_of_a_convolution_are_counted_at_the_largest(benchmark):
    rows = [
        {"layer": "conv 3 x 3", "form": form, "input": size, "outputs": 64, "gflop": gflop}
        for size, real, eight in (("small", 1.0, 0.6), ("large", 16.0, 8.1))
        for form, gflop in (("real", real), ("eight", eight))
    ]
    ours, verdict = standing(benchmark, "real products", made_up_results("kernels", rows))
    assert ours.startswith("8.10 by the compiler's count, input large")
    assert verdict == "reached"


def test_a_step_is_judged_beside_pytorch_over_all_models(benchmark):
    rows = [
        {"model": model, "form": form, "step_ms": ms, "step_ms_samples": [ms] * 8}
        for model, ours, theirs in (("a", 1.0, 1.0), ("b", 1.0, 4.0))
        for form, ms in (("real", ours), ("PyTorch, compiled", theirs), ("PyTorch", 9.0))
    ]
    rows[-1] |= {"step_ms": 2.25, "step_ms_samples": [2.25] * 8}  # what the compiler slowed down
    found = standing(benchmark, "one training step", made_up_results("models", rows))
    assert found == ["1.5 [1.5, 1.5] x faster, float32, a, b", "reached"]  # the root of 1 x 2.25
    mixed = [{**row, "step_ms": 1.0, "step_ms_samples": [1.0] * 8} for row in rows]
    both = (made_up_results("models", rows), made_up_results("models", mixed, "bfloat16"))
    assert standing(benchmark, "one training step", *both) == [
        "1 [1, 1] x faster, bfloat16, a, b",
        "missed",
    ]


def test_matrix_units_are_judged_by_the_measured_product(benchmark):
    row = {"model": "vgg16", "form": "real", "step_gflop": 300.0, "step_ms_samples": [500.0] * 8}
    for product, verdict in ((1e12, "reached"), (2e12, "missed")):  # 600 GFLOP/s
        results = made_up_results("models", [row], "bfloat16", product)
        assert standing(benchmark, "matrix units", results)[1] == verdict
    assert standing(benchmark, "matrix units", made_up_results("models", [row]))[1] == (
        "not measured"
    )


def test_log_mel_is_judged_by_the_fastest_peer(benchmark):
    rows = [
        {"feature": "log-mel", "batch": 1, "form": form, "ms": ms, "of_serjax_samples": [ms] * 8}
        for form, ms in (("serjax", 1.0), ("librosa", 9.0), ("torchaudio", 1.5))
    ]
    ours, verdict = standing(benchmark, "log-mel", made_up_results("features", rows))
    assert ours.startswith("1.5 [1.5, 1.5] x faster than torchaudio")
    assert ours.endswith("without nnAudio")
    assert verdict == "missed"


def test_anti_transfer_is_judged_by_the_mean_of_its_layers(benchmark):
    def row(layer, time, memory):
        samples = {"of_none": time, "of_none_samples": [time] * 8, "memory_of_none": memory}
        return {"form": "kept", "layer": layer, **samples}

    rows = [row("conv1", 1.0, 1.0), row("conv2", 1.1, 1.02)]
    ours, verdict = standing(benchmark, "anti-transfer", made_up_results("anti_transfer", rows))
    assert "1.05 [1.05, 1.05] x time, 1.01 x memory" in ours
    assert "at most 1.1 x time (conv2), 1.02 x memory" in ours
    assert verdict == "reached"


@pytest.mark.slow
def test_the_main_job_is_measured_in_a_process_of_its_own(
    command, benchmark, monkeypatch, tmp_path
):
    monkeypatch.setattr(benchmark("training"), "_QUICK_CORPUS", {"speakers": 6, "words": 1})
    arguments = ("--suite", "training", "--models", "dscnn", "--quick", "--rounds", 1)
    assert command(*arguments, "--out", tmp_path) == 0
    one, several = rows_of(tmp_path / f"training-{jax.default_backend()}-float32.json")
    assert (one["form"], several["form"]) == ("one device", "shard_map, 2 virtual devices")
    for row in (one, several):
        stages = ("data", "compile", "train", "evaluate", "report")
        parts = [row[f"{name}_s"] for name in stages]
        assert min(parts) > 0
        assert 0.5 * row["total_s"] < sum(parts) <= row["total_s"]
        # Steps are a part of the loop, and the process holds a step's memory at least.
        assert 0 < row["idle"] < 1
        assert row["process_mib"] > row["step_mib"] > 0
        assert 0 <= row["test_ua"] <= 1
    # The same work, counted on one device and as twice a half.
    done = [row["gflops"] * row["step_ms"] for row in (one, several)]
    assert done[1] == pytest.approx(done[0], rel=0.2)


@pytest.mark.slow
def test_anti_transfer_is_measured_in_every_form(
    command, benchmark, monkeypatch, standard_promotion, tmp_path
):
    module = benchmark("anti_transfer_cost")
    monkeypatch.setattr(module, "_QUICK_LAYERS", {"dscnn": (1, 2)})
    monkeypatch.setattr(module, "_UTTERANCES", 8)
    monkeypatch.setattr(module, "_BATCH", 4)
    arguments = ("--suite", "anti_transfer", "--quick", "--rounds", 2)
    assert command(*arguments, "--out", tmp_path) == 0
    rows = rows_of(tmp_path / f"anti_transfer-{jax.default_backend()}-float32.json")
    forms = ["none", "kept", "in every step", "batch-wide"]
    assert [row["form"] for row in rows] == 2 * forms
    channels = (16, 32)  # of the layers; half a Gram matrix is kept, a byte for each number
    for layer, size in enumerate(channels):
        none, kept, *others = rows[4 * layer : 4 * layer + 4]
        assert none["of_none"] == none["memory_of_none"] == 1
        assert kept["kept_mib"] * 2**20 == 8 * size * (size + 1) / 2
        assert {row["kept_mib"] for row in (none, *others)} == {None}


@pytest.mark.slow
def test_growth_is_measured(command, benchmark, monkeypatch, standard_promotion, tmp_path):
    scaling = benchmark("scaling")
    steps = {size: scaling._step("dscnn", "float32", batch=size, utterances=4) for size in (1, 8)}
    small, large = scaling._together(steps, 2).values()
    assert large["operations"] / small["operations"] == pytest.approx(8, rel=0.2)
    assert np.median(large["seconds"]) > np.median(small["seconds"])
    found = scaling._measured_devices(benchmark("settings").Settings(1, "float32"))
    assert [row["size"] for row in found] == ["1", "2", "4"]
    assert {row["against"] for row in found} == {"devices, virtual"}
    # The same batch; each device makes Adam's update, some 20 operations of 4.5 M parameters.
    assert [row["gflop"] for row in found] == pytest.approx([found[0]["gflop"]] * 3, rel=0.1)


@pytest.mark.slow
def test_networks_are_measured_side_by_side(
    command, benchmark, monkeypatch, standard_promotion, tmp_path
):
    monkeypatch.setattr(benchmark("models"), "_sizes", lambda name, quick: ((1, 2), 2))
    arguments = ("--suite", "models", "--models", "quat_dscnn,dscnn", "--rounds", 2)
    assert command(*arguments, "--out", tmp_path) == 0
    real, quat = rows_of(tmp_path / f"models-{jax.default_backend()}-float32.json")
    assert (real["model"], real["form"], quat["form"]) == ("dscnn", "real", "quaternion")
    for row, name in ((real, "dscnn"), (quat, "quat_dscnn")):
        assert row["parameters"] == models.describe(name, 4).parameters
        assert row["checkpoint_mib"] * 2**20 >= 4 * row["parameters"]
        assert row["best_batch"] in (1, 2)
        # A step holds weights, gradients' sums and squares, and as much again while it makes them.
        assert row["memory_mib"] * 2**20 > 3 * 4 * row["parameters"]
        ratio = np.asarray(row["step_ms_samples"]) / real["step_ms_samples"]
        np.testing.assert_allclose(row["step_of_real_samples"], ratio)
    assert quat["memory_of_real"] == pytest.approx(quat["memory_mib"] / real["memory_mib"])
    assert quat["memory_of_real"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "resnet18", "alexnet", "vgg16"])
def test_torchvisions_networks_compute_ours(
    command, benchmark, monkeypatch, standard_promotion, torchvision, tmp_path, name
):
    monkeypatch.setattr(benchmark("models"), "_sizes", lambda name, quick: ((1,), 2))
    arguments = ("--suite", "models", "--models", name, "--rounds", 1, "--peers")
    assert command(*arguments, "--out", tmp_path) == 0
    rows = rows_of(tmp_path / f"models-{jax.default_backend()}-float32.json")
    assert {row["form"] for row in rows} >= {"real", "PyTorch"}


@pytest.mark.slow
def test_kernels_are_measured_and_agree(tmp_path):
    result = run("--suite", "kernels", "--rounds", 1, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    name = f"kernels-{jax.default_backend()}-float32"
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{name}.{kind}" for kind in ("csv", "json", "md", "png")),
        "report.html",
        "results.md",
    }
    rows = rows_of(tmp_path / f"{name}.json")
    assert {row["form"] for row in rows} == {"real", "chosen", "block", "eight", "stacked"}
    assert all(row["error"] < 3e-6 for row in rows if row["form"] != "real")
    for row in rows:
        assert row["ms_low"] <= row["ms"] <= row["ms_high"]


# --- Operations ----------------------------------------------------------------------------------


def test_operations_of_loops_are_those_of_all_rounds(benchmark):
    operations_of = benchmark("operations").operations_of

    def product(x):
        return x @ x

    def nested(x):
        return jax.lax.fori_loop(0, 5, lambda _, y: jax.lax.scan(rounds, y, None, 3)[0], x)

    def rounds(x, _):
        return jax.jit(product)(x), None

    x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
    one = 2 * 8**3
    assert operations_of(jax.jit(product).trace(x)) == one
    assert operations_of(jax.jit(nested).trace(x)) == pytest.approx(15 * one, abs=15)


def test_operations_of_a_convolution_are_the_same_whichever_way_it_is_derived(
    benchmark, monkeypatch
):
    operations_of = benchmark("operations").operations_of
    x, kernel = np.ones((4, 66, 66, 16), np.float32), np.ones((3, 3, 16, 32), np.float32)

    def loss(x, kernel):
        options = (1, 1), ((0, 0), (0, 0)), (1, 1)
        return jnp.sum(real_convolution.conv(x, kernel, *options))

    def count():
        return operations_of(jax.jit(jax.grad(loss, argnums=(0, 1))).trace(x, kernel))

    own = count()
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # by patches
    assert own == pytest.approx(count(), rel=0.02)
    # Forward is of no use to the gradients of a sum.
    assert own == pytest.approx(2 * 2 * 4 * 64 * 64 * kernel.size, rel=0.02)
