"""Numbers to beat, and their comparison with a folder of results.

A target for a quantity that has rounds is reached only if the worse end of the 95 % interval
reaches it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.device_peaks import DevicePeaks
from benchmarks.measure import median_and_interval
from benchmarks.settings import Rows

COLUMNS = ("quantity", "best known result", "target", "serjax", "verdict")

# Contents of files of results of one device.
Results = Sequence[Mapping[str, Any]]


class Assessment(NamedTuple):
    """Result of serjax compared with a target.

    Attributes:
        result: Result as text.
        is_reached: True if the result reaches the target; None if it was not measured, and then
            `result` names the command that measures it.
    """

    result: str
    is_reached: bool | None


class Target(NamedTuple):
    """A number to beat.

    Attributes:
        quantity: Measured quantity.
        best_known: Best known result.
        target: Value to reach.
        assess: Function that compares results with the target.
    """

    quantity: str
    best_known: str
    target: str
    assess: Callable[[Results], Assessment]


def _rows(results: Results, suite: str, dtype: str = "float32", **values: Any) -> Rows:
    """Selects the rows of a suite and arithmetic that have these values."""
    return [
        row
        for content in results
        if (content["suite"], content["dtype"]) == (suite, dtype)
        for row in content["rows"]
        if all(row[name] == value for name, value in values.items())
    ]


def _not_measured(options: str) -> Assessment:
    return Assessment(f"needs `python benchmarks/run.py {options}`", None)


def _format(values: tuple[float, float, float], unit: str) -> str:
    middle, low, high = values
    return f"{middle:.3g} [{low:.3g}, {high:.3g}] {unit}"


def _geometric_mean(samples: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Computes the geometric mean of ratios `[items, rounds]` over the items.

    Returns:
        Median over the rounds, and the ends of its interval.
    """
    rounds = min(len(each) for each in samples)
    logarithms = np.log([each[:rounds] for each in samples])
    return median_and_interval(np.exp(logarithms.mean(0)))


def _products(results: Results) -> Assessment:
    rows = [row for row in _rows(results, "kernels") if row["layer"] == "conv 3 x 3"]
    gflop = {
        form: {(row["input"], row["outputs"]): row["gflop"] for row in rows if row["form"] == form}
        for form in ("eight", "real")
    }
    if not gflop["eight"] or None in (*gflop["eight"].values(), *gflop["real"].values()):
        return _not_measured("--suite kernels")
    # A real layer is 16 products of blocks; additions weigh least in the largest.
    largest = max(gflop["real"], key=lambda size: gflop["real"][size])
    count = 16 * gflop["eight"][largest] / gflop["real"][largest]
    text = f"{count:.2f} by the compiler's count, input {largest[0]}, {largest[1]} outputs"
    return Assessment(text, round(count) <= 8)


def _quaternion_vgg16(results: Results) -> Assessment:
    rows = _rows(results, "models", model="vgg16", form="quaternion")
    if not rows or rows[0]["step_vs_real"] is None:
        return _not_measured("--suite models --models vgg16,quat_vgg16")
    middle, low, high = median_and_interval(np.array(rows[0]["step_vs_real_samples"]))
    memory = rows[0]["memory_vs_real"]
    text = (
        f"{100 * (middle - 1):+.1f} [{100 * (low - 1):+.1f}, {100 * (high - 1):+.1f}] % time, "
        f"{100 * (memory - 1):+.1f} % memory"
    )
    return Assessment(text, high <= 0.05 and memory <= 0.15)


def _anti_transfer(results: Results) -> Assessment:
    rows = _rows(results, "anti_transfer", form="cached")
    if not rows:
        return _not_measured("--suite anti_transfer")
    time = _geometric_mean([row["time_vs_none_samples"] for row in rows])
    memory = [row["memory_vs_none"] for row in rows]
    mean = float(np.exp(np.mean(np.log(memory))))
    worst = max(rows, key=lambda row: row["time_vs_none"])
    networks = ", ".join(dict.fromkeys(row["layer"].split(",")[0] for row in rows))
    layers = f"{len(rows)} layers of {networks}"
    text = (
        f"{_format(time, 'x time')}, {mean:.3g} x memory, cached, geometric means of {layers}; "
        f"at most {worst['time_vs_none']:.3g} x time ({worst['layer']}), {max(memory):.3g} x memory"
    )
    return Assessment(text, time[2] <= 1.05 and mean <= 1.05)


def _training_step(results: Results) -> Assessment:
    # PyTorch is fastest in mixed precision, so that is used if it was measured.
    for dtype in ("bfloat16", "float32"):
        serjax_rows = _rows(results, "models", dtype, form="real")
        torch_rows = [row for row in _rows(results, "models", dtype) if "PyTorch" in row["form"]]
        ratios = {}
        for row in serjax_rows:
            # PyTorch's compiler slows some networks down, so the faster form is used.
            forms = [other for other in torch_rows if other["model"] == row["model"]]
            if forms:
                fastest = min(forms, key=lambda form: form["step_ms"])
                step_ms = np.array(fastest["step_ms_samples"])
                ratios[row["model"]] = (step_ms / row["step_ms_samples"]).tolist()
        if ratios:
            mean = _geometric_mean(list(ratios.values()))
            text = f"{_format(mean, 'x faster')}, {dtype}, {', '.join(ratios)}"
            return Assessment(text, mean[1] >= 1.3)
    return _not_measured("--suite models --baselines --dtype bfloat16")


def _matrix_units(results: Results) -> Assessment:
    rows = _rows(results, "models", "bfloat16", model="vgg16", form="real")
    if not rows or rows[0]["step_gflop"] is None:
        command = _not_measured("--suite models --models vgg16 --dtype bfloat16").result
        return Assessment(f"{command} on a GPU", None)
    content = next(
        each for each in results if (each["suite"], each["dtype"]) == ("models", "bfloat16")
    )
    peak = DevicePeaks(**content["device_peaks"]).bfloat16
    seconds = np.array(rows[0]["step_ms_samples"]) / 1e3
    percent = median_and_interval(100 * rows[0]["step_gflop"] * 1e9 / seconds / peak)
    return Assessment(_format(percent, "% in a training step"), percent[1] >= 50)


def _log_mel(results: Results) -> Assessment:
    rows = _rows(results, "features", feature="log-mel")
    baselines = {row["form"] for row in rows} - {"serjax"}
    if not baselines:
        return _not_measured("--suite features --baselines")
    # Each batch is compared with its fastest baseline, measured in the same rounds.
    fastest = []
    for batch in dict.fromkeys(row["batch"] for row in rows):
        others = [row for row in rows if row["batch"] == batch and row["form"] in baselines]
        fastest.append(min(others, key=lambda row: row["ms"]))
    mean = _geometric_mean([row["time_vs_serjax_samples"] for row in fastest])
    names = ", ".join(dict.fromkeys(row["form"] for row in fastest))
    missing = [name for name in ("torchaudio", "nnAudio") if name not in baselines]
    text = f"{_format(mean, 'x faster')} than {names}, geometric mean of {len(fastest)} batches"
    text += f"; without {' and '.join(missing)}" if missing else ""
    return Assessment(text, mean[1] >= 2)


def _folds(results: Results) -> Assessment:
    rows = [row for row in _rows(results, "folds") if row["form"] not in ("single", "sequential")]
    dscnn = [row for row in rows if row["model"].startswith("dscnn")]
    if not dscnn:
        return _not_measured("--suite folds")
    # The largest input is the network's default one. A run may use any kind of batching.
    largest = max(int(row["model"].split()[1].rstrip(",")) for row in dscnn)
    default_size = [row for row in dscnn if f" {largest}," in row["model"]]
    best = min(default_size, key=lambda row: row["time_vs_single"])
    ratio = median_and_interval(np.array(best["time_vs_single_samples"]))
    return Assessment(f"{_format(ratio, 'x')}, {best['model']}, {best['form']}", ratio[2] <= 1.5)


def _measured_by(command: str) -> Callable[[Results], Assessment]:
    """Makes the assessment of a quantity that another command measures."""
    return lambda results: Assessment(f"needs `python {command}`", None)


_RAVDESS = "experiments/cross_validate.py --dataset ravdess --data-dir RAVDESS --protocol "

TARGETS = (
    Target(
        "real products of a quaternion convolution",
        "16 in every public library",
        "8, the least possible (Howell & Lafon 1975)",
        _products,
    ),
    Target(
        "quaternion VGG16 against real VGG16, training",
        "-80.5 % time, -53.7 % memory (Guizzo et al. 2023)",
        "-95 % time, -85 % memory",
        _quaternion_vgg16,
    ),
    Target(
        "anti-transfer's cost",
        "2.8 x time per epoch, up to +100 % memory (Guizzo et al. 2023)",
        "1.05 x time, 1.05 x memory",
        _anti_transfer,
    ),
    Target(
        "one training step, same model and batch",
        "PyTorch, channels last, mixed precision, compiled where that is faster",
        "1.3 x faster, geometric mean of the models",
        _training_step,
    ),
    Target(
        "matrix units, real VGG16 in bfloat16",
        "",
        "50 % of the measured product",
        _matrix_units,
    ),
    Target("log-mel on the device", "torchaudio, nnAudio", "2 x faster", _log_mel),
    Target(
        "five folds of a small network",
        "five runs",
        "1.5 x the time of one",
        _folds,
    ),
    Target(
        "RAVDESS, 8 classes, unseen actors, from scratch",
        "UA 62.3 ± 1.2 (ResLSTM-SA); WA 55.0 (Guizzo et al. 2023)",
        "UA 70",
        _measured_by(f"{_RAVDESS}speaker"),
    ),
    Target(
        "RAVDESS, 8 classes, random split",
        "80.5 (DSCNN); 60.44 (Guizzo et al. 2023)",
        "UA 85",
        _measured_by(f"{_RAVDESS}random"),
    ),
)


def table(results: Results) -> list[list[str]]:
    """Makes the table of the numbers to beat.

    Args:
        results: Contents of files of results of one device.

    Returns:
        Cells of the columns `COLUMNS` for each target.
    """
    verdicts = {True: "reached", False: "missed", None: "not measured"}
    rows = []
    for target in TARGETS:
        result, is_reached = target.assess(results)
        rows.append(
            [target.quantity, target.best_known, target.target, result, verdicts[is_reached]]
        )
    return rows
