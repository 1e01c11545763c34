"""Scaling of a training step's time with batch size, length, channels, devices and corpus size.

A step is that of a training run, from waveforms to Adam's update. All sizes are timed in the same
interleaved rounds. The exponent is the slope of the least-squares line of log time over log size in
a round; its median over the rounds is given with a 95 % interval. The expected exponent follows
from the number of operations: 1 for batch size and length, 2 for channels, 0 for the corpus, which
is on the device. It is -1 for devices, over which a batch is sharded, but 0 for virtual devices,
which share a CPU's cores. The costs of a step that do not depend on the size reduce exponents
towards 0.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import subprocesses
from benchmarks.measure import in_unit, median_and_interval, quantity_columns, time_interleaved
from benchmarks.programs import Program, compile_concurrently, compile_traced, initial_state
from benchmarks.settings import Cases, Rows, Settings
from serjax import models, training
from serjax.data import batches
from serjax.features.front_ends import FrontEnd
from serjax.report.plots.powers import Power, plot_powers
from serjax.training.build import input_shape
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Scaling of a training step"
COLUMNS = {
    "variable": "variable",
    "network": "network",
    "size": "size",
    "ms": "ms",
    "gflop": "GFLOP",
    "exponent": "exponent",
    "expected": "expected",
}

_BATCH = 8
_DEVICE_BATCH = 16
_DEVICES, _QUICK_DEVICES = (1, 2, 4), (1, 4)
_SECONDS = 4


@dataclasses.dataclass(frozen=True)
class _PowerPlot:
    """A plot of a step's time over size, one panel for each variable."""

    label: str = "milliseconds of a training step"

    def draw(self, rows: Rows, dark: bool) -> "Figure | None":
        """Plots times and fitted powers, see `serjax.report.plots.powers`."""
        names = dict.fromkeys(row["variable"] for row in rows)
        curves = []
        for name in names:
            selected = [row for row in rows if row["variable"] == name]
            curves.append(
                Power(
                    name,
                    [float(row["size"]) for row in selected],
                    [row["ms"] for row in selected],
                    [row["ms_low"] for row in selected],
                    [row["ms_high"] for row in selected],
                    selected[0]["exponent"],
                    selected[0]["expected"],
                )
            )
        return plot_powers(curves, self.label, dark=dark) if curves else None


FIGURE = _PowerPlot()


def _step(
    name: str,
    dtype: str,
    *,
    batch: int = _BATCH,
    utterances: int = 64,
    front_end: FrontEnd | None = None,
    sharding: BatchSharding = SINGLE_DEVICE,
    **options: Any,
) -> Program:
    """Compiles a step on random waveforms; its argument is the indices of the batch.

    Each call uses the state that the last one returned.

    Args:
        name: One of `serjax.models.names()`.
        dtype: Arithmetic, "float32" or "bfloat16".
        batch: Batch size.
        utterances: Number of utterances of the corpus.
        front_end: Front end; None selects the network's default.
        sharding: Devices over which a batch is sharded.
        **options: Options of the network.
    """
    model = models.create(name, 4, dtype=jnp.dtype(dtype), **options)
    front_end = front_end or models.front_end(name)
    rng = np.random.default_rng(batch)
    size = min(front_end.segment_samples, _SECONDS * front_end.sample_rate)
    waveforms = rng.normal(0, 0.1, (utterances, size)).astype(np.float32)
    labels = rng.integers(0, 4, utterances).tolist()
    packed = batches.pack(list(waveforms), labels, size, room=size)
    examples = sharding.replicate(packed)
    optimizer, key = optax.adam(1e-4), jax.random.key(0)
    state = sharding.replicate(initial_state(model, optimizer, input_shape(front_end)))
    step = training.make_train_step(model, front_end, optimizer, key, 4, sharding=sharding)

    def make_arguments(index: int) -> tuple[jax.Array]:
        indices = np.random.default_rng(index).integers(0, utterances, batch)
        return (sharding.put_indices(indices.astype(np.int32)),)

    first = make_arguments(0)
    program = compile_traced(step.trace(state, examples, *first, None), *first)

    def call(indices: jax.Array) -> Any:
        nonlocal state
        state, result = program.call(state, examples, indices, None)
        return result

    return dataclasses.replace(program, call=call, make_arguments=make_arguments)


def _front_end_of_length(frames: int) -> FrontEnd:
    """Makes the DSCNN's front end for another number of frames."""
    default = models.front_end("dscnn")
    seconds = default.samples_of_frames(frames) / default.sample_rate
    return dataclasses.replace(default, frames=frames, segment_seconds=seconds, fit="pad")


def exponents(sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Computes the slopes of the least-squares lines of log time over log size.

    Args:
        sizes: Sizes, `[sizes]`, above 0.
        seconds: Time at each size and in each round, `[sizes, rounds]`, above 0.

    Returns:
        Exponent of each round, `[rounds]`.

    Example:
        >>> exponents(np.array([1.0, 2.0, 4.0]), np.array([[3.0], [12.0], [48.0]])).round(6)
        array([2.])
    """
    x = np.log(sizes) - np.log(sizes).mean()
    return x @ np.log(seconds) / (x @ x)


def _rows(
    variable: str, network: str, expected: float, measurements: Mapping[int, dict[str, Any]]
) -> Rows:
    """Makes a row for each size.

    Args:
        variable: Name of the quantity that varies.
        network: Description of the network.
        expected: Expected exponent.
        measurements: Dicts of "seconds" `[rounds]` and "operations", by size.
    """
    seconds = np.array([each["seconds"] for each in measurements.values()])
    exponent_of_rounds = exponents(np.array(list(measurements), float), seconds)
    middle, low, high = median_and_interval(exponent_of_rounds)
    fitted = {"exponent": middle, "exponent_low": low, "exponent_high": high}
    return [
        {
            "variable": variable,
            "network": network,
            "size": str(size),  # text, because texts identify the rows of two compared runs
            **quantity_columns("ms", 1e3 * np.array(each["seconds"])),
            "gflop": in_unit(each["operations"], 1e9),
            **fitted,
            "exponent_samples": exponent_of_rounds.tolist(),
            "expected": expected,
        }
        for size, each in measurements.items()
    ]


def _time_steps(steps: Mapping[int, Program], rounds: int) -> dict[int, dict[str, Any]]:
    """Times the steps of several sizes; returns their "seconds" and "operations" by size."""
    seconds = time_interleaved({str(size): step for size, step in steps.items()}, rounds)
    return {
        size: {"seconds": seconds[str(size)].tolist(), "operations": step.operations}
        for size, step in steps.items()
    }


def _measure(
    settings: Settings,
    variable: str,
    network: str,
    expected: float,
    sizes: tuple[int, ...],
    make: Callable[[int], Program],
) -> Rows:
    steps = compile_concurrently({size: functools.partial(make, size) for size in sizes})
    return _rows(variable, network, expected, _time_steps(steps, settings.rounds))


def time_devices(counts: list[int], dtype: str, rounds: int) -> dict[str, Any]:
    """Times a step of the same batch on different numbers of devices.

    Args:
        counts: Numbers of devices; each uses the first devices of this process.
        dtype: Arithmetic, "float32" or "bfloat16".
        rounds: Number of rounds.

    Returns:
        Dicts of "seconds" `[rounds]` and "operations", by number of devices as text.
    """

    def compile_step(count: int) -> Program:
        sharding = BatchSharding("shard_map", tuple(jax.local_devices()[:count]))
        step = _step("dscnn", dtype, batch=_DEVICE_BATCH, sharding=sharding)
        # The compiler counts the operations of one device.
        return dataclasses.replace(step, operations=in_unit(step.operations, 1 / count))

    steps = compile_concurrently(
        {count: functools.partial(compile_step, count) for count in counts}
    )
    return {str(count): each for count, each in _time_steps(steps, rounds).items()}


def _measure_devices(settings: Settings) -> Rows:
    """Measures the scaling with devices in a subprocess; makes a row for each number of them."""
    is_virtual = jax.devices()[0].platform == "cpu"
    available = max(_DEVICES) if is_virtual else jax.local_device_count()
    candidates = _QUICK_DEVICES if settings.quick else _DEVICES
    counts = [count for count in candidates if count <= available]
    arguments = {"counts": counts, "dtype": settings.dtype, "rounds": settings.rounds}
    by_text = subprocesses.call(
        "benchmarks.scaling", "time_devices", arguments, devices=available if is_virtual else 1
    )
    variable, expected = ("virtual devices", 0.0) if is_virtual else ("devices", -1.0)
    measurements = {int(count): each for count, each in by_text.items()}
    return _rows(variable, f"dscnn, batch {_DEVICE_BATCH}", expected, measurements)


def cases(settings: Settings) -> Cases:
    """Returns a case for each variable; for devices only if there are several or virtual ones."""
    dtype, quick = settings.dtype, settings.quick
    blocks = (1, 1, 1, 1)

    def case(*arguments: Any) -> Callable[[], Rows]:
        return functools.partial(_measure, settings, *arguments)

    functions = {
        "batch": case(
            "batch",
            "dscnn",
            1.0,
            (2, 8, 32) if quick else (1, 2, 4, 8, 16, 32, 64),
            lambda size: _step("dscnn", dtype, batch=size),
        ),
        "length": case(
            "frames",
            f"dscnn, batch {_BATCH}",
            1.0,
            (64, 128, 256) if quick else (64, 128, 256, 512, 1024),
            lambda size: _step("dscnn", dtype, front_end=_front_end_of_length(size)),
        ),
        "channels": case(
            "channels",
            f"resnet34_stats of one block a stage, batch {_BATCH // 4}",
            2.0,
            (16, 32, 64) if quick else (8, 16, 32, 64, 128),
            lambda size: _step(
                "resnet34_stats", dtype, batch=_BATCH // 4, channels=size, blocks=blocks
            ),
        ),
        "corpus": case(
            "utterances of the corpus",
            f"dscnn, batch {_BATCH}",
            0.0,
            (64, 1024) if quick else (64, 256, 1024, 4096),
            lambda size: _step("dscnn", dtype, utterances=size),
        ),
    }
    if jax.devices()[0].platform == "cpu" or jax.local_device_count() > 1:
        functions["devices"] = functools.partial(_measure_devices, settings)
    return functions
