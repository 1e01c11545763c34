"""The experiment of Guizzo et al. 2023: anti-transfer by task, layer, split and algebra."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from serjax import classical, report
from serjax.anti_transfer.loss import layers_of
from serjax.anti_transfer.source_network import UNTRAINED
from serjax.anti_transfer.source_tasks import TASKS, source_task_config
from serjax.errors import InputError, unknown_name
from serjax.training.config import AntiTransfer, RunConfig, for_models, front_end_of
from serjax.training.input.recordings import Recordings, read
from serjax.training.run import run
from serjax.training.run_folder.run_dir import is_finished

METHODS = {
    "none": (),
    "untrained": (UNTRAINED,),
    "single-s": ("speaker",),
    "single-w": ("word",),
    "dual-sw": ("speaker", "word"),
    "dual-ws": ("word", "speaker"),
}
"""Tasks that a method unlearns, one after the other: each run starts from the one before.

A network that was never trained, for a teacher, is the control: what differing from anything does.
"""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is run: every combination.

    Attributes:
        base: What all have in common.
        models: Names.
        methods: Some of `METHODS`.
        layers: Numbers of convolutions, None for all that a model has; a dual method uses the same
            one twice.
        splits: As of a run.
        seeds: Of weights and divisions.
        teachers: What trains the teachers, its model, target and seed left open; None: each
            student's own training part.
    """

    base: RunConfig
    models: Sequence[str]
    methods: Sequence[str] = ("none", "single-s", "single-w", "dual-sw", "dual-ws")
    layers: Sequence[int] | None = None
    splits: Sequence[str] = ("random", "speaker")
    seeds: Sequence[int] = (0,)
    teachers: RunConfig | None = None

    def check(self) -> None:
        """Raises InputError for values that no sweep can have."""
        for method in self.methods:
            if method not in METHODS:
                raise InputError(unknown_name("method", method, METHODS))
        for layer in self.layers or ():
            if layer < 1:
                raise InputError(f"layers: expected numbers from 1 on, found {layer}")
        for model in self.models:
            if model in classical.names():
                raise InputError(f"model: expected networks, which have layers, found {model!r}")
        for student in self._students():
            student.check()
        if self._unlearns():
            for model in self.models:
                self._layers_of(model)

    def _unlearns(self) -> bool:
        """Whether there is a method with layers to choose."""
        return any(METHODS[method] for method in self.methods)

    def _layers_of(self, model: str) -> tuple[int, ...]:
        """Numbers of the convolutions of a model, which are found to exist."""
        layers = ("all",) if self.layers is None else tuple(map(str, self.layers))
        term = AntiTransfer(UNTRAINED, layers)
        names = layers_of(term, self.base.replace(model=model))
        return tuple(sorted(int(name.removeprefix("conv")) for name in names))

    def _students(self) -> Iterator[RunConfig]:
        for config in for_models(self.base, self.models)[0].values():
            for split in self.splits:
                for seed in self.seeds:
                    yield config.replace(split=split, seed=seed)

    def run(self, folder: Path, console: Console, command: list[str]) -> list[dict[str, object]]:
        """Runs what is not finished, below a folder.

        Returns:
            A row for each method's last run: `model`, `split`, `seed`, `method`, `layer` (None
            without anti-transfer) and its `folder`.

        Raises:
            InputError, DivergedError, InterruptedRunError: As `serjax.training.run`.
        """
        self.check()
        for note in for_models(self.base, self.models)[1]:
            console.print(note, highlight=False, soft_wrap=True)
        rows: list[dict[str, object]] = []
        layers = {model: self._layers_of(model) for model in self.models if self._unlearns()}
        for student in self._students():
            recordings = read(student, front_end_of(student), console)
            for method in self.methods:
                for layer in layers[student.model.name] if METHODS[method] else (None,):
                    last = self._method(
                        student, method, layer, folder, console, command, recordings
                    )
                    rows.append(
                        {
                            "model": student.model.name,
                            "split": student.data.split,
                            "seed": student.seed,
                            "method": method,
                            "layer": layer,
                            "folder": last,
                        }
                    )
        return rows

    def _method(
        self,
        student: RunConfig,
        method: str,
        layer: int | None,
        folder: Path,
        console: Console,
        command: list[str],
        recordings: Recordings,
    ) -> Path:
        """The runs of a method at a layer, each from the one before; returns the last."""
        name = f"{student.model.name}-{student.data.split}-{student.seed}"
        if layer is None:
            return _finished(student, folder / f"{name}-none", console, command, recordings)
        before: Path | None = None
        place = folder
        for tasks in _beginnings(METHODS[method]):
            teacher = self._teacher(student, tasks[-1], folder, console, command)
            term = AntiTransfer(str(teacher), (str(layer),))
            config = student.replace(
                anti_transfer=(term,),
                init=student.model.init if before is None else str(before),
            )
            # A dual method's first half is the single method.
            place = folder / f"{name}-{'-'.join(tasks)}-conv{layer}"
            before = _finished(config, place, console, command, recordings)
        return place

    def _teacher(
        self, student: RunConfig, task: str, folder: Path, console: Console, command: list[str]
    ) -> Path:
        if task == UNTRAINED:
            return Path(UNTRAINED)
        if self.teachers is None:
            place = f"{student.model.name}-{student.data.split}-{student.seed}-{task}"
            config = source_task_config(task, student)
        else:
            place = f"{student.model.name}-{task}"
            config = dataclasses.replace(
                self.teachers,
                model=student.model.name,
                target=TASKS[task],
                split="random",
                # The student takes it over, see `source_task_config`.
                embedding=resolve(student).embedding,
            )
        # As the network that it teaches, it starts from the weights that are given.
        config = config.replace(init=student.model.init)
        return _finished(config, folder / "teachers" / place, console, command)


def _beginnings(tasks: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for length in range(1, len(tasks) + 1):
        yield tasks[:length]


def _finished(
    config: RunConfig,
    folder: Path,
    console: Console,
    command: list[str],
    recordings: Recordings | None = None,
) -> Path:
    """The folder of the run, which is done or finished where it is not."""
    if is_finished(folder):
        return folder
    console.rule(str(folder))
    return run(
        config,
        out=folder,
        resume=folder.exists(),
        console=console,
        command=command,
        recordings=recordings,
    )


def accuracies(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """The same rows with `parameters`, and `validation` and `test` accuracy, shares in [0, 1]."""
    found = []
    for row in rows:
        metrics = report.read_metrics(Path(str(row["folder"])) / "metrics.json")
        measured = {part: metrics[part]["wa"]["value"] for part in ("validation", "test")}
        found.append({**row, "parameters": metrics["parameters"], **measured})
    return found
