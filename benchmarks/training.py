"""The main job from waveforms to test metrics, on the embedded corpus, where its time goes.

Each row is a run of `serjax.training.run` in a process of its own, nothing compiled before. Step
time is that of blocking calls of the compiled step, from waveforms, without the first. Memory of a
step is its program's arguments, results and temporaries on each device; that of the process is its
peak in the host's memory, corpus, compiler and Python included. The idle share is that of the
training loop's time, validation apart, in which no step is in progress: the host orders batches,
reads results and writes checkpoints. A device of its own is idle then; a CPU does that work itself.

Several devices of a CPU are virtual and share its cores: their rows show what dividing a batch
costs, not what devices gain. PyTorch's rows are a step of the same network, batch and optimizer on
spectrograms that are there already.
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
from rich.console import Console

from benchmarks import baselines, device_peaks, measure, models, subprocesses
from benchmarks.measure import scaled, summary
from benchmarks.operations import operations_of
from benchmarks.settings import Cases, Figure, Rows, Settings
from serjax import models as networks
from serjax import training
from serjax.errors import InputError, unknown_name
from serjax.training.config import RunConfig
from serjax.training.devices import batch_sharding, memory

TITLE = "Training, from waveforms to test metrics"
COLUMNS = {
    "model": "model",
    "form": "form",
    "batch": "batch",
    "step_ms": "step ms",
    "throughput": "examples/s",
    "gflops": "GFLOP/s",
    "of_peak": "% of ceiling",
    "step_mib": "step MiB",
    "process_mib": "process MiB",
    "idle": "% idle",
    "data_s": "data s",
    "compile_s": "compile s",
    "train_s": "train s",
    "evaluate_s": "evaluate s",
    "report_s": "report s",
    "total_s": "total s",
    "test_ua": "% test UA",
}
FIGURE = Figure("step_ms", "milliseconds of a training step", ("model",))

_QUICK = ("dscnn", "quat_vgg16")
_MODELS = (*_QUICK, "vgg16", "resnet34_stats")
# Six of ten speakers train, with two words in four emotions, so that few steps are an epoch.
_QUICK_CORPUS = {"speakers": 10, "words": 2}
_QUICK_TRAINED, _QUICK_STEPS = 48, 12
_VIRTUAL_DEVICES = 2
_STAGES = ("data", "compile", "train", "evaluate", "report", "total")


class _Watched:
    """A training step that notes its compilation and how long each call takes."""

    def __init__(self, step: Any, scan_steps: int) -> None:
        self._step, self._per_call = step, scan_steps
        self.operations: float | None = None
        self.seconds: list[float] = []
        self.examples: list[float] = []
        self.in_calls = 0.0

    def lower(self, *arguments: Any) -> "_Watched":
        if hasattr(self._step, "trace"):  # which jax.pmap has not
            traced = self._step.trace(*arguments)
            self.operations = operations_of(traced)
            self._lowered = traced.lower()
        else:
            self._lowered = self._step.lower(*arguments)
        return self

    def compile(self) -> "_Watched":
        self._compiled = self._lowered.compile()
        self.peak_bytes = memory.peak_bytes(self._compiled)
        return self

    def memory_analysis(self) -> Any:
        return self._compiled.memory_analysis()

    def __call__(self, state: Any, examples: Any, indices: Any, references: Any) -> Any:
        steps = jax.device_get(indices).reshape(len(indices), self._per_call, -1) >= 0
        started = time.perf_counter()
        result = jax.block_until_ready(self._compiled(state, examples, indices, references))
        waited = time.perf_counter() - started
        self.in_calls += waited
        count = int(steps.any((0, 2)).sum())
        self.seconds.append(waited / count)
        self.examples.append(int(steps.sum()) / count)
        return result


def measured(**options: Any) -> dict[str, Any]:
    """Runs the main job with these fields of its configuration; figures of it for a row."""
    config = RunConfig.make(**options)
    # The package's name `run` is the function; its module makes the step that is to be watched.
    job: Any = importlib.import_module("serjax.training.run")
    steps: list[_Watched] = []
    make = job.make_train_step

    def watched(*arguments: Any, **settings: Any) -> _Watched:
        steps.append(_Watched(make(*arguments, **settings), settings["scan_steps"]))
        return steps[-1]

    job.make_train_step = watched
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        out = training.run(config, out=Path(folder) / "run", console=Console(file=nowhere))
        stages = json.loads((out / "timing.json").read_text())
        metrics = json.loads((out / "metrics.json").read_text())
    (step,) = steps
    batch = resolve(config).batch_size
    assert batch is not None
    first = min(1, len(step.seconds) - 1)
    seconds, examples = np.array(step.seconds[first:]), np.array(step.examples[first:])
    division = batch_sharding.divide(config.parallel, batch)
    return {
        "batch": batch,
        "seconds": seconds.tolist(),
        "examples_per_second": (examples / seconds).tolist(),
        # What is counted is one device's part of a step.
        "operations": scaled(step.operations, 1 / division.device_count),
        "step_bytes": step.peak_bytes,
        "process_bytes": measure.process_peak_bytes(),
        "idle": 1 - step.in_calls / stages["train"],
        "stages": stages,
        "test_ua": metrics["test"]["ua"]["value"],
    }


def measured_peers(model: str, dtype: str, batch: int, rounds: int) -> dict[str, Any]:
    """Seconds `[rounds]` of a step of each of PyTorch's forms of a network, by form."""
    ours = models.Network(model, dtype)
    steps = {
        form: one.training(batch) for form, one in baselines.networks(model, ours, dtype).items()
    }
    seconds = measure.time_together(steps, rounds)
    return {form: values.tolist() for form, values in seconds.items()}


def _row(model: str, form: str, dtype: str, found: dict[str, Any]) -> dict[str, Any]:
    seconds, stages = np.array(found["seconds"]), found["stages"]
    peak = device_peaks.measured().flops(dtype)
    rate = scaled(found["operations"], float(np.median(seconds)))
    return {
        "model": model,
        "form": form,
        "batch": found["batch"],
        **summary("step_ms", 1e3 * seconds),
        **summary("throughput", np.array(found["examples_per_second"])),
        "gflops": scaled(rate, 1e9),
        "of_peak": scaled(rate, peak),
        "step_mib": scaled(found["step_bytes"], 2**20),
        "process_mib": scaled(found["process_bytes"], 2**20),
        "idle": found["idle"],
        **{f"{name}_s": stages[name] for name in _STAGES},
        "test_ua": found["test_ua"],
    }


def _of_peer(model: str, form: str, batch: int, seconds: np.ndarray) -> dict[str, Any]:
    own = {
        "model": model,
        "form": form,
        "batch": batch,
        **summary("step_ms", 1e3 * seconds),
        **summary("throughput", batch / seconds),
    }
    return {**dict.fromkeys(COLUMNS), **own}


def _measured(settings: Settings, model: str, kinds: tuple[str, ...]) -> Rows:
    """A row for each division of a batch, and for each peer."""
    platform = jax.devices()[0].platform
    options: dict[str, Any] = {
        "model": model,
        "dtype": settings.dtype,
        "scan_steps": settings.scan_steps,
    }
    if settings.quick:
        heard = _QUICK_STEPS * networks.training_defaults(model).batch_size
        epochs = -(-heard // _QUICK_TRAINED)
        options |= {"epochs": epochs, "dataset_options": _QUICK_CORPUS}
    rows = []
    for kind in kinds:
        several = kind != "none"
        virtual = several and platform == "cpu"
        count = _VIRTUAL_DEVICES if virtual else jax.local_device_count()
        asked = {**options, "parallel": kind}
        found = subprocesses.call("training", "measured", asked, devices=count if virtual else 1)
        form = "one device"
        if several:
            form = f"{kind}, {count} {'virtual devices' if virtual else 'devices'}"
        rows.append(_row(model, form, settings.dtype, found))
    # The suite models has the quick one's step beside PyTorch's already, in the same rounds.
    if settings.peers and not settings.quick and model in baselines.TORCHVISION:
        batch = rows[0]["batch"]
        arguments = {"model": model, "dtype": settings.dtype, "batch": batch}
        timed = subprocesses.call(
            "training", "measured_peers", {**arguments, "rounds": settings.rounds}
        )
        rows += [_of_peer(model, form, batch, np.array(one)) for form, one in timed.items()]
    return rows


def cases(settings: Settings) -> Cases:
    """Each network, on one device and on several where there are, or where they are virtual.

    Raises:
        InputError: Unknown name of a network.
    """
    for name in settings.models:
        if name not in networks.names():
            raise InputError(unknown_name("model", name, networks.names()))
    several = jax.devices()[0].platform == "cpu" or jax.local_device_count() > 1
    found = {}
    for name in settings.models or (_QUICK if settings.quick else _MODELS):
        divided = several and (settings.models or not settings.quick or name == "dscnn")
        kinds = ("none", settings.parallel) if divided else ("none",)
        found[name] = functools.partial(_measured, settings, name, kinds)
    return found
