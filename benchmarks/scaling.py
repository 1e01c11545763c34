"""How the time of a training step grows: with batch, length, width, devices and corpus.

A step is the whole one of a run, from waveforms to Adam's update. Sizes are measured round by round
side by side; the exponent is the slope of the least-squares line through the logarithms of a
round's times over those of the sizes, its median over rounds with a 95 % interval. Expected is what
the operations say: as many times the work for as many times the batch or the length, the square of
the channels; nothing of the corpus, which lies on the device; and of devices, which share a batch,
the inverse, but nothing where they are virtual and share a CPU's cores. What a step costs at any
size pulls exponents towards 0.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import subprocesses
from benchmarks.measure import (
    Program,
    compile_traced,
    fresh_state,
    interval,
    made_together,
    scaled,
    summary,
    time_together,
)
from benchmarks.settings import Cases, Rows, Settings
from serjax import models, training
from serjax.data import batches
from serjax.features.front_ends import FrontEnd
from serjax.report.plots.powers import Power, plot_powers
from serjax.training.build import input_shape
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding

TITLE = "Growth of a training step"
COLUMNS = {
    "against": "against",
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
class _Curves:
    """A panel for each quantity that a step's time is drawn against."""

    label: str = "milliseconds of a training step"

    def draw(self, rows: Rows, dark: bool) -> Any:
        names = dict.fromkeys(row["against"] for row in rows)
        curves = []
        for name in names:
            own = [row for row in rows if row["against"] == name]
            curves.append(
                Power(
                    name,
                    [float(row["size"]) for row in own],
                    [row["ms"] for row in own],
                    [row["ms_low"] for row in own],
                    [row["ms_high"] for row in own],
                    own[0]["exponent"],
                    own[0]["expected"],
                )
            )
        return plot_powers(curves, self.label, dark=dark) if curves else None


FIGURE = _Curves()


def _step(
    name: str,
    dtype: str,
    *,
    batch: int = _BATCH,
    utterances: int = 64,
    front_end: FrontEnd | None = None,
    division: BatchSharding = SINGLE_DEVICE,
    **options: Any,
) -> Program:
    """A step on random waveforms, of a batch's indices, which hands its state on."""
    model = models.create(name, 4, dtype=jnp.dtype(dtype), **options)
    front_end = front_end or models.front_end(name)
    rng = np.random.default_rng(batch)
    size = min(front_end.segment_samples, _SECONDS * front_end.sample_rate)
    waveforms = rng.normal(0, 0.1, (utterances, size)).astype(np.float32)
    labels = rng.integers(0, 4, utterances).tolist()
    packed = batches.pack(list(waveforms), labels, size, room=front_end.segment_samples)
    examples = division.replicate(packed)
    optimizer, key = optax.adam(1e-4), jax.random.key(0)
    state = fresh_state(model, optimizer, input_shape(front_end))
    held = [division.replicate(state)]
    step = training.make_train_step(model, front_end, optimizer, key, 4, division=division)

    def renew(number: int) -> tuple[jax.Array]:
        drawn = np.random.default_rng(number).integers(0, utterances, batch)
        return (division.split(drawn.astype(np.int32)),)

    program = compile_traced(step.trace(held[0], examples, *renew(0), None), *renew(0))

    def call(indices: jax.Array) -> Any:
        held[0], result = program.call(held[0], examples, indices, None)
        return result

    return dataclasses.replace(program, call=call, renew=renew)


def _longer(frames: int) -> FrontEnd:
    """What the DSCNN hears, of so many frames."""
    usual = models.front_end("dscnn")
    seconds = usual.samples_of_frames(frames) / usual.sample_rate
    return dataclasses.replace(usual, frames=frames, segment_seconds=seconds)


def exponents(sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Slopes of the least-squares lines through the logarithms.

    Args:
        sizes: `[sizes]`, above 0.
        seconds: `[sizes, rounds]`, above 0.

    Returns:
        `[rounds]`.
    """
    x = np.log(sizes) - np.log(sizes).mean()
    return x @ np.log(seconds) / (x @ x)


def _rows(
    against: str, network: str, expected: float, measured: Mapping[int, dict[str, Any]]
) -> Rows:
    """A row for each size, from "seconds" `[rounds]` and "operations" of each."""
    seconds = np.array([one["seconds"] for one in measured.values()])
    found = exponents(np.array(list(measured), float), seconds)
    middle, low, high = interval(found)
    fitted = {"exponent": middle, "exponent_low": low, "exponent_high": high}
    return [
        {
            "against": against,
            "network": network,
            "size": str(size),  # text, which tells rows apart where two runs are compared
            **summary("ms", 1e3 * np.array(one["seconds"])),
            "gflop": scaled(one["operations"], 1e9),
            **fitted,
            "exponent_samples": found.tolist(),
            "expected": expected,
        }
        for size, one in measured.items()
    ]


def _together(steps: Mapping[int, Program], rounds: int) -> dict[int, dict[str, Any]]:
    seconds = time_together({str(size): step for size, step in steps.items()}, rounds)
    return {
        size: {"seconds": seconds[str(size)].tolist(), "operations": step.operations}
        for size, step in steps.items()
    }


def _measured(
    settings: Settings,
    against: str,
    network: str,
    expected: float,
    sizes: tuple[int, ...],
    make: Callable[[int], Program],
) -> Rows:
    steps = made_together({size: functools.partial(make, size) for size in sizes})
    return _rows(against, network, expected, _together(steps, settings.rounds))


def measured_devices(counts: list[int], dtype: str, rounds: int) -> dict[str, Any]:
    """The same batch on the first devices of this process, by their count."""

    def step(count: int) -> Program:
        division = BatchSharding("shard_map", tuple(jax.local_devices()[:count]))
        made = _step("dscnn", dtype, batch=_DEVICE_BATCH, division=division)
        # What is counted is one device's part of a step.
        return dataclasses.replace(made, operations=scaled(made.operations, 1 / count))

    steps = made_together({count: functools.partial(step, count) for count in counts})
    found = _together(steps, rounds)
    return {str(count): one for count, one in found.items()}


def _measured_devices(settings: Settings) -> Rows:
    virtual = jax.devices()[0].platform == "cpu"
    there = max(_DEVICES) if virtual else jax.local_device_count()
    chosen = _QUICK_DEVICES if settings.quick else _DEVICES
    counts = [count for count in chosen if count <= there]
    arguments = {"counts": counts, "dtype": settings.dtype, "rounds": settings.rounds}
    found = subprocesses.call(
        "scaling", "measured_devices", arguments, devices=there if virtual else 1
    )
    against, expected = ("devices, virtual", 0.0) if virtual else ("devices", -1.0)
    by_count = {int(count): one for count, one in found.items()}
    return _rows(against, f"dscnn, batch {_DEVICE_BATCH}", expected, by_count)


def cases(settings: Settings) -> Cases:
    """What a step's time is measured against; devices where there are several, or virtual ones."""
    dtype, quick = settings.dtype, settings.quick
    blocks = (1, 1, 1, 1)

    def case(*about: Any) -> Callable[[], Rows]:
        return functools.partial(_measured, settings, *about)

    found = {
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
            lambda size: _step("dscnn", dtype, front_end=_longer(size)),
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
        found["devices"] = functools.partial(_measured_devices, settings)
    return found
