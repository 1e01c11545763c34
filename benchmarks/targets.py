"""The numbers to beat, and where a folder of results stands: reached, missed, or not measured.

What has rounds is reached only if the worse end of its 95 % interval reaches the target.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.device_peaks import Ceilings
from benchmarks.measure import interval
from benchmarks.settings import Rows

COLUMNS = ("what", "today's best known", "target", "ours", "verdict")

Results = Sequence[Mapping[str, Any]]


class Standing(NamedTuple):
    """Where we are.

    Attributes:
        ours: In words.
        reached: None if it was not measured; then `ours` says why.
    """

    ours: str
    reached: bool | None


class Goal(NamedTuple):
    """A number to beat.

    Attributes:
        what: What is measured.
        best: The best known result.
        target: What is to be reached.
        standing: Contents of files of results of one device -> where we are.
    """

    what: str
    best: str
    target: str
    standing: Callable[[Results], Standing]


def _rows(results: Results, suite: str, dtype: str = "float32", **values: Any) -> Rows:
    """Rows of a suite in an arithmetic, with these values."""
    return [
        row
        for content in results
        if (content["suite"], content["dtype"]) == (suite, dtype)
        for row in content["rows"]
        if all(row[name] == value for name, value in values.items())
    ]


def _missing(options: str) -> Standing:
    return Standing(f"needs `python benchmarks/run.py {options}`", None)


def _told(values: tuple[float, float, float], unit: str) -> str:
    middle, low, high = values
    return f"{middle:.3g} [{low:.3g}, {high:.3g}] {unit}"


def _geometric_mean(samples: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Of ratios `[things, rounds]` over the things, its median over rounds with its interval."""
    rounds = min(len(one) for one in samples)
    logarithms = np.log([one[:rounds] for one in samples])
    return interval(np.exp(logarithms.mean(0)))


def _products(results: Results) -> Standing:
    rows = [row for row in _rows(results, "kernels") if row["layer"] == "conv 3 x 3"]
    gflop = {
        form: {(row["input"], row["outputs"]): row["gflop"] for row in rows if row["form"] == form}
        for form in ("eight", "real")
    }
    if not gflop["eight"] or None in (*gflop["eight"].values(), *gflop["real"].values()):
        return _missing("--suite kernels")
    # A real layer is 16 products of blocks; additions weigh least in the largest.
    largest = max(gflop["real"], key=lambda size: gflop["real"][size])
    count = 16 * gflop["eight"][largest] / gflop["real"][largest]
    told = f"{count:.2f} by the compiler's count, input {largest[0]}, {largest[1]} outputs"
    return Standing(told, round(count) <= 8)


def _quaternion_vgg16(results: Results) -> Standing:
    rows = _rows(results, "models", model="vgg16", form="quaternion")
    if not rows or rows[0]["step_of_real"] is None:
        return _missing("--suite models --models vgg16,quat_vgg16")
    middle, low, high = interval(np.array(rows[0]["step_of_real_samples"]))
    memory = rows[0]["memory_of_real"]
    told = (
        f"{100 * (middle - 1):+.1f} [{100 * (low - 1):+.1f}, {100 * (high - 1):+.1f}] % time, "
        f"{100 * (memory - 1):+.1f} % memory"
    )
    return Standing(told, high <= 0.05 and memory <= 0.15)


def _anti_transfer(results: Results) -> Standing:
    rows = _rows(results, "anti_transfer", form="kept")
    if not rows:
        return _missing("--suite anti_transfer")
    time = _geometric_mean([row["of_none_samples"] for row in rows])
    memory = [row["memory_of_none"] for row in rows]
    mean = float(np.exp(np.mean(np.log(memory))))
    worst = max(rows, key=lambda row: row["of_none"])
    networks = ", ".join(dict.fromkeys(row["layer"].split(",")[0] for row in rows))
    layers = f"{len(rows)} layers of {networks}"
    told = (
        f"{_told(time, 'x time')}, {mean:.3g} x memory, kept, geometric means of {layers}; "
        f"at most {worst['of_none']:.3g} x time ({worst['layer']}), {max(memory):.3g} x memory"
    )
    return Standing(told, time[2] <= 1.05 and mean <= 1.05)


def _training_step(results: Results) -> Standing:
    # Mixed precision is what PyTorch is best at, where that was measured.
    for dtype in ("bfloat16", "float32"):
        ours = _rows(results, "models", dtype, form="real")
        theirs = [row for row in _rows(results, "models", dtype) if "PyTorch" in row["form"]]
        ratios = {}
        for row in ours:
            # PyTorch's compiler slows some networks down; each is taken at its best.
            peers = [other for other in theirs if other["model"] == row["model"]]
            if peers:
                best = np.array(min(peers, key=lambda peer: peer["step_ms"])["step_ms_samples"])
                ratios[row["model"]] = (best / row["step_ms_samples"]).tolist()
        if ratios:
            mean = _geometric_mean(list(ratios.values()))
            told = f"{_told(mean, 'x faster')}, {dtype}, {', '.join(ratios)}"
            return Standing(told, mean[1] >= 1.3)
    return _missing("--suite models --peers --dtype bfloat16")


def _matrix_units(results: Results) -> Standing:
    rows = _rows(results, "models", "bfloat16", model="vgg16", form="real")
    if not rows or rows[0]["step_gflop"] is None:
        needed = _missing("--suite models --models vgg16 --dtype bfloat16").ours
        return Standing(f"{needed} on a GPU", None)
    about = next(one for one in results if (one["suite"], one["dtype"]) == ("models", "bfloat16"))
    peak = Ceilings(**about["ceilings"]).bfloat16
    seconds = np.array(rows[0]["step_ms_samples"]) / 1e3
    share = interval(100 * rows[0]["step_gflop"] * 1e9 / seconds / peak)
    return Standing(_told(share, "% in a training step"), share[1] >= 50)


def _log_mel(results: Results) -> Standing:
    rows = _rows(results, "features", feature="log-mel")
    peers = {row["form"] for row in rows} - {"serjax"}
    if not peers:
        return _missing("--suite features --peers")
    # Each batch beside the fastest that was there; serjax waits for it in the same rounds.
    fastest = []
    for batch in dict.fromkeys(row["batch"] for row in rows):
        others = [row for row in rows if row["batch"] == batch and row["form"] in peers]
        fastest.append(min(others, key=lambda row: row["ms"]))
    mean = _geometric_mean([row["of_serjax_samples"] for row in fastest])
    names = ", ".join(dict.fromkeys(row["form"] for row in fastest))
    absent = [name for name in ("torchaudio", "nnAudio") if name not in peers]
    told = f"{_told(mean, 'x faster')} than {names}, geometric mean of {len(fastest)} batches"
    told += f"; without {' and '.join(absent)}" if absent else ""
    return Standing(told, mean[1] >= 2)


def _folds(results: Results) -> Standing:
    rows = [row for row in _rows(results, "folds") if row["form"] not in ("one", "separate")]
    dscnn = [row for row in rows if row["model"].startswith("dscnn")]
    if not dscnn:
        return _missing("--suite folds")
    # The largest input is the network's own; of the engines a run may choose.
    largest = max(int(row["model"].split()[1].rstrip(",")) for row in dscnn)
    own = [row for row in dscnn if f" {largest}," in row["model"]]
    best = min(own, key=lambda row: row["of_one"])
    share = interval(np.array(best["of_one_samples"]))
    return Standing(f"{_told(share, 'x')}, {best['model']}, {best['form']}", share[2] <= 1.5)


def _elsewhere(command: str) -> Callable[[Results], Standing]:
    return lambda results: Standing(f"needs `python {command}`", None)


_RAVDESS = "experiments/cross_validate.py --dataset ravdess --data-dir RAVDESS --protocol "

GOALS = (
    Goal(
        "real products of a quaternion convolution",
        "16 in every public library",
        "8, the least possible (Howell & Lafon 1975)",
        _products,
    ),
    Goal(
        "quaternion VGG16 against real VGG16, training",
        "-80.5 % time, -53.7 % memory (Guizzo et al. 2023)",
        "-95 % time, -85 % memory",
        _quaternion_vgg16,
    ),
    Goal(
        "anti-transfer's cost",
        "2.8 x time per epoch, up to +100 % memory (Guizzo et al. 2023)",
        "1.05 x time, 1.05 x memory",
        _anti_transfer,
    ),
    Goal(
        "one training step, same model and batch",
        "PyTorch, channels last, mixed precision, compiled where that is faster",
        "1.3 x faster, geometric mean of the models",
        _training_step,
    ),
    Goal(
        "matrix units, real VGG16 in bfloat16",
        "",
        "50 % of the measured product",
        _matrix_units,
    ),
    Goal("log-mel on the device", "torchaudio, nnAudio", "2 x faster", _log_mel),
    Goal(
        "five folds of a small network",
        "five runs",
        "1.5 x the time of one",
        _folds,
    ),
    Goal(
        "RAVDESS, 8 classes, unseen actors, from scratch",
        "UA 62.3 ± 1.2 (ResLSTM-SA); WA 55.0 (Guizzo et al. 2023)",
        "UA 70",
        _elsewhere(f"{_RAVDESS}speaker"),
    ),
    Goal(
        "RAVDESS, 8 classes, random split",
        "80.5 (DSCNN); 60.44 (Guizzo et al. 2023)",
        "UA 85",
        _elsewhere(f"{_RAVDESS}random"),
    ),
)


def table(results: Results) -> list[list[str]]:
    """A row of `COLUMNS` for each number to beat, from the results of one device."""
    verdicts = {True: "reached", False: "missed", None: "not measured"}
    rows = []
    for goal in GOALS:
        ours, reached = goal.standing(results)
        rows.append([goal.what, goal.best, goal.target, ours, verdicts[reached]])
    return rows
