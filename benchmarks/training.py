"""Training runs from waveforms to test metrics on the bundled corpus, and the time of each stage.

Each row is a run of `serjax.training.run` in a subprocess, with nothing compiled before. The step
time is that of blocking calls of the compiled step, from waveforms, without the first call. The
memory of a step is that of its arguments, results and temporaries on each device. The memory of the
process is its peak in the host's memory, including corpus, compiler and Python. The idle fraction
is the fraction of the training loop's time, without validation, in which no step is in progress:
the host orders batches, reads results and writes checkpoints. A GPU is idle then; a CPU does that
work itself.

Several devices of a CPU are virtual and share its cores: their rows show the cost of sharding a
batch, not the gain of more devices. PyTorch's rows are a step of the same network, batch size and
optimizer on precomputed spectrograms.
"""

import functools
import importlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import device_peaks, measure, models, subprocesses
from benchmarks.measure import in_unit, quantity_columns
from benchmarks.operations import count_operations
from benchmarks.settings import Cases, DotPlot, Rows, Settings
from benchmarks.torch_networks import TORCHVISION, torch_networks
from serjax import models as networks
from serjax import training
from serjax.console import Console
from serjax.errors import InputError, unknown_name
from serjax.training.config import RunConfig
from serjax.training.config.resolve import resolve
from serjax.training.devices import batch_sharding, memory

TITLE = "Training, from waveforms to test metrics"
COLUMNS = {
    "model": "model",
    "form": "form",
    "batch": "batch",
    "step_ms": "step ms",
    "throughput": "examples/s",
    "gflops": "GFLOP/s",
    "peak_fraction": "% of peak",
    "step_mib": "step MiB",
    "process_mib": "process MiB",
    "idle_fraction": "% idle",
    "data_s": "data s",
    "compile_s": "compile s",
    "train_s": "train s",
    "evaluate_s": "evaluate s",
    "report_s": "report s",
    "total_s": "total s",
    "test_ua": "% test UA",
}
FIGURE = DotPlot("step_ms", "milliseconds of a training step", ("model",))

_QUICK = ("dscnn", "quat_vgg16")
_MODELS = (*_QUICK, "vgg16", "resnet34_stats")
# The training set has six of ten speakers, with two words in four emotions, so that an epoch is
# short.
_QUICK_CORPUS = {"speakers": 10, "words": 2}
_QUICK_TRAINING_EXAMPLES, _QUICK_STEPS = 48, 12
_VIRTUAL_DEVICES = 2
_STAGES = ("data", "compile", "train", "evaluate", "report", "total")


class _TimedStep:
    """A training step that records its operations, its memory and the duration of each call.

    Attributes:
        operations: Floating-point operations of a call on one device, or None.
        peak_bytes: Memory of a call on one device, or None.
        seconds: Seconds per step, for each call.
        examples: Examples per step, for each call.
        total_seconds: Seconds of all calls.
    """

    def __init__(self, step: Any, scan_steps: int) -> None:
        self._step, self._scan_steps = step, scan_steps
        self.operations: float | None = None
        self.peak_bytes: int | None = None
        self.seconds: list[float] = []
        self.examples: list[float] = []
        self.total_seconds = 0.0

    def lower(self, *arguments: Any) -> "_TimedStep":
        """Lowers the step as `jax.jit` does, and counts its operations."""
        if hasattr(self._step, "trace"):  # not with jax.pmap
            traced = self._step.trace(*arguments)
            self.operations = count_operations(traced)
            self._lowered = traced.lower()
        else:
            self._lowered = self._step.lower(*arguments)
        return self

    def compile(self) -> "_TimedStep":
        """Compiles the step as `jax.stages.Lowered` does, and reads its memory."""
        self._compiled = self._lowered.compile()
        self.peak_bytes = memory.peak_bytes(self._compiled)
        return self

    def memory_analysis(self) -> Any:
        """Returns the compiler's memory analysis."""
        return self._compiled.memory_analysis()

    def __call__(self, state: Any, examples: Any, indices: Any, references: Any) -> Any:
        steps = jax.device_get(indices).reshape(len(indices), self._scan_steps, -1) >= 0
        started = time.perf_counter()
        result = jax.block_until_ready(self._compiled(state, examples, indices, references))
        seconds = time.perf_counter() - started
        self.total_seconds += seconds
        count = int(steps.any((0, 2)).sum())
        self.seconds.append(seconds / count)
        self.examples.append(int(steps.sum()) / count)
        return result


def measure_run(**options: Any) -> dict[str, Any]:
    """Performs and measures a training run.

    Args:
        **options: Fields of its configuration.

    Returns:
        Measurements for `_row`, as JSON can represent them.
    """
    config = RunConfig.make(**options)
    stage: Any = importlib.import_module("serjax.training.stage")  # it makes the step to be timed
    steps: list[_TimedStep] = []
    make = stage.make_train_step

    def make_timed(*arguments: Any, **settings: Any) -> _TimedStep:
        steps.append(_TimedStep(make(*arguments, **settings), settings["scan_steps"]))
        return steps[-1]

    stage.make_train_step = make_timed
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as null:
        out = training.run(config, out=Path(folder) / "run", console=Console(file=null))
        stages = json.loads((out / "timing.json").read_text())
        metrics = json.loads((out / "metrics.json").read_text())
    (step,) = steps
    batch = resolve(config).optimizer.batch_size
    first = min(1, len(step.seconds) - 1)
    seconds, examples = np.array(step.seconds[first:]), np.array(step.examples[first:])
    sharding = batch_sharding.shard_batches(config.system.parallel, batch)
    return {
        "batch": batch,
        "seconds": seconds.tolist(),
        "examples_per_second": (examples / seconds).tolist(),
        # The compiler counts the operations of one device.
        "operations": in_unit(step.operations, 1 / sharding.device_count),
        "step_bytes": step.peak_bytes,
        "process_bytes": measure.process_peak_bytes(),
        "idle_fraction": 1 - step.total_seconds / stages["train"],
        "stages": stages,
        "test_ua": metrics["test"]["ua"]["value"],
    }


def measure_baselines(model: str, dtype: str, batch: int, rounds: int) -> dict[str, Any]:
    """Times a training step of each of PyTorch's forms of a network.

    Args:
        model: Name of the network.
        dtype: Arithmetic, "float32" or "bfloat16".
        batch: Batch size.
        rounds: Number of steps.

    Returns:
        Seconds of a step in each round, `[rounds]`, by form.
    """
    network = models.Network(model, dtype)
    forms = torch_networks(model, network, dtype)
    steps = {form: baseline.training_program(batch) for form, baseline in forms.items()}
    seconds = measure.time_interleaved(steps, rounds)
    return {form: values.tolist() for form, values in seconds.items()}


def _row(model: str, form: str, dtype: str, measurements: dict[str, Any]) -> dict[str, Any]:
    seconds, stages = np.array(measurements["seconds"]), measurements["stages"]
    peak = device_peaks.measured().operations_per_second(dtype)
    rate = in_unit(measurements["operations"], float(np.median(seconds)))
    return {
        "model": model,
        "form": form,
        "batch": measurements["batch"],
        **quantity_columns("step_ms", 1e3 * seconds),
        **quantity_columns("throughput", np.array(measurements["examples_per_second"])),
        "gflops": in_unit(rate, 1e9),
        "peak_fraction": in_unit(rate, peak),
        "step_mib": in_unit(measurements["step_bytes"], 2**20),
        "process_mib": in_unit(measurements["process_bytes"], 2**20),
        "idle_fraction": measurements["idle_fraction"],
        **{f"{name}_s": stages[name] for name in _STAGES},
        "test_ua": measurements["test_ua"],
    }


def _baseline_row(model: str, form: str, batch: int, seconds: np.ndarray) -> dict[str, Any]:
    values = {
        "model": model,
        "form": form,
        "batch": batch,
        **quantity_columns("step_ms", 1e3 * seconds),
        **quantity_columns("throughput", batch / seconds),
    }
    return {**dict.fromkeys(COLUMNS), **values}


def _measure(settings: Settings, model: str, kinds: tuple[str, ...]) -> Rows:
    """Measures a network; makes a row for each kind of batch sharding and each baseline."""
    platform = jax.devices()[0].platform
    options: dict[str, Any] = {
        "model": model,
        "dtype": settings.dtype,
        "scan_steps": settings.scan_steps,
    }
    if settings.quick:
        examples = _QUICK_STEPS * networks.training_defaults(model).batch_size
        epochs = -(-examples // _QUICK_TRAINING_EXAMPLES)
        options |= {"epochs": epochs, "dataset_options": _QUICK_CORPUS}
    rows = []
    for kind in kinds:
        is_sharded = kind != "none"
        is_virtual = is_sharded and platform == "cpu"
        count = _VIRTUAL_DEVICES if is_virtual else jax.local_device_count()
        measurements = subprocesses.call(
            "benchmarks.training",
            "measure_run",
            {**options, "parallel": kind},
            devices=count if is_virtual else 1,
        )
        form = "one device"
        if is_sharded:
            form = f"{kind}, {count} {'virtual devices' if is_virtual else 'devices'}"
        rows.append(_row(model, form, settings.dtype, measurements))
    # The quick steps of PyTorch are in the suite `models` already, in the same rounds as serjax's.
    if settings.baselines and not settings.quick and model in TORCHVISION:
        batch = rows[0]["batch"]
        arguments = {
            "model": model,
            "dtype": settings.dtype,
            "batch": batch,
            "rounds": settings.rounds,
        }
        seconds = subprocesses.call("benchmarks.training", "measure_baselines", arguments)
        rows += [
            _baseline_row(model, form, batch, np.array(values)) for form, values in seconds.items()
        ]
    return rows


def cases(settings: Settings) -> Cases:
    """Returns a case for each network: on one device, and on several real or virtual devices.

    Raises:
        InputError: Unknown name of a network.
    """
    for name in settings.models:
        if name not in networks.names():
            raise InputError(unknown_name("model", name, networks.names()))
    has_several = jax.devices()[0].platform == "cpu" or jax.local_device_count() > 1
    functions = {}
    for name in settings.models or (_QUICK if settings.quick else _MODELS):
        is_sharded = has_several and (settings.models or not settings.quick or name == "dscnn")
        kinds = ("none", settings.parallel) if is_sharded else ("none",)
        functions[name] = functools.partial(_measure, settings, name, kinds)
    return functions
