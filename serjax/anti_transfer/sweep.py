"""Sweep of anti-transfer over methods, layers, splits and algebras (Guizzo et al., 2023)."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from serjax import classical, report
from serjax.anti_transfer.config import UNTRAINED, AntiTransfer
from serjax.anti_transfer.loss import layers_of
from serjax.anti_transfer.source_tasks import TASKS, frozen_encoder, source_task_config
from serjax.console import Console
from serjax.errors import InputError, unknown_name
from serjax.training.checks import check_config
from serjax.training.config import RunConfig
from serjax.training.config.resolve import front_end_of, has_embedding, resolve
from serjax.training.config.variants import for_models
from serjax.training.input.corpus_hashes import corpus_hashes
from serjax.training.input.recordings import Recordings, read_recordings
from serjax.training.run_folder.run_dir import check_corpus, is_finished
from serjax.training.single_run import run

METHODS = {
    "none": (),
    "untrained": (UNTRAINED,),
    "single-s": ("speaker",),
    "single-w": ("word",),
    "dual-sw": ("speaker", "word"),
    "dual-ws": ("word", "speaker"),
}
"""Methods by the paper's names and their source tasks: S is the speaker, W the word.

A dual method uses two tasks, one after the other: its second run starts from the first. The
untrained source network is the control: the effect of dissimilarity from random features.
"""

ENCODER_METHODS = {"encoder-s": "speaker", "encoder-w": "word"}
"""Methods without anti-transfer whose encoder starts as one that was trained for a task.

They show the effect of the encoder by itself. All other methods start from the same encoder: those
of their source networks are frozen.
"""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Runs of every combination of model, split, seed, method and layer.

    Attributes:
        base: Configuration that all runs share.
        models: Names of the models.
        methods: Names of methods, see `METHODS` and `ENCODER_METHODS`.
        layers: Numbers of convolutions, None for all of a model; a dual method uses the same layer
            twice.
        splits: Names of splits.
        seeds: Seeds of weights and splits.
        source: Configuration that trains source networks, its model, target and seed left open;
            None: on each student's own training set.
    """

    base: RunConfig
    models: Sequence[str]
    methods: Sequence[str] = ("none", "single-s", "single-w", "dual-sw", "dual-ws")
    layers: Sequence[int] | None = None
    splits: Sequence[str] = ("random", "speaker")
    seeds: Sequence[int] = (0,)
    source: RunConfig | None = None

    def check(self) -> None:
        """Checks all values before anything is read.

        Raises:
            InputError: A value that no sweep can have.
        """
        for method in self.methods:
            if method not in (*METHODS, *ENCODER_METHODS):
                raise InputError(unknown_name("method", method, (*METHODS, *ENCODER_METHODS)))
        for layer in self.layers or ():
            if layer < 1:
                raise InputError(f"layers: expected numbers from 1 on, found {layer}")
        for model in self.models:
            if model in classical.names():
                raise InputError(f"model: expected networks, which have layers, found {model!r}")
        for student in self._students():
            check_config(student)
        if self._uses_layers():
            for model in self.models:
                self._layers_of(model)

    def _uses_layers(self) -> bool:
        """Returns True if a method has layers to choose."""
        return any(METHODS.get(method) for method in self.methods)

    def _layers_of(self, model: str) -> tuple[int, ...]:
        """Returns the numbers of a model's convolutions, after checking that they exist."""
        layers = ("all",) if self.layers is None else tuple(map(str, self.layers))
        names = layers_of(AntiTransfer(UNTRAINED, layers), self.base.replace(model=model))
        return tuple(sorted(int(name.removeprefix("conv")) for name in names))

    def _students(self) -> Iterator[RunConfig]:
        """Yields the configurations without anti-transfer."""
        for config in for_models(self.base, self.models)[0].values():
            for split in self.splits:
                for seed in self.seeds:
                    yield config.replace(split=split, seed=seed)

    def run(self, folder: Path, console: Console, command: list[str]) -> list[dict[str, object]]:
        """Runs what is not finished, below a folder.

        Args:
            folder: Folder of the sweep.
            console: Console for messages.
            command: Command line, for the reports.

        Returns:
            A row for each method's last run: `model`, `split`, `seed`, `method`, `layer` (None
            without anti-transfer) and its `folder`.

        Raises:
            InputError: See `serjax.training.run`.
            DivergedError: See `serjax.training.run`.
            InterruptedRunError: See `serjax.training.run`.
        """
        self.check()
        for note in for_models(self.base, self.models)[1]:
            console.print(note)
        rows: list[dict[str, object]] = []
        layers = {model: self._layers_of(model) for model in self.models if self._uses_layers()}
        for student in self._students():
            recordings = read_recordings(student, front_end_of(student), console)
            for method in self._methods_of(student.model.name):
                for layer in layers[student.model.name] if METHODS.get(method) else (None,):
                    last = self._run_method(
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

    def _run_method(
        self,
        student: RunConfig,
        method: str,
        layer: int | None,
        folder: Path,
        console: Console,
        command: list[str],
        recordings: Recordings,
    ) -> Path:
        """Runs a method at a layer, each run from the one before; returns the last folder."""
        name = f"{student.model.name}-{student.data.split}-{student.seed}"
        if method in ENCODER_METHODS:
            task = ENCODER_METHODS[method]
            encoder = self._source_network(student, task, folder, console, command, frozen=False)
            student = student.replace(embedding=str(encoder))
        if layer is None:
            return _finish(student, folder / f"{name}-{method}", console, command, recordings)
        previous: Path | None = None
        last = folder
        for tasks in _prefixes(METHODS[method]):
            source = self._source_network(student, tasks[-1], folder, console, command)
            term = AntiTransfer(str(source), (str(layer),))
            config = student.replace(
                auxiliary_losses=(*student.auxiliary_losses, term.to_config()),
                init=student.model.init if previous is None else str(previous),
            )
            # The first half of a dual method is the single method.
            last = folder / f"{name}-{'-'.join(tasks)}-conv{layer}"
            previous = _finish(config, last, console, command, recordings)
        return last

    def _methods_of(self, model: str) -> list[str]:
        """Returns the methods that a model has: only quaternion and PHM networks have encoders."""
        return [m for m in self.methods if m not in ENCODER_METHODS or has_embedding(model)]

    def _source_network(
        self,
        student: RunConfig,
        task: str,
        folder: Path,
        console: Console,
        command: list[str],
        *,
        frozen: bool = True,
    ) -> Path:
        """Returns the folder of a task's source network, trained if there is none."""
        if task == UNTRAINED:
            return Path(UNTRAINED)
        if self.source is None:
            place = f"{student.model.name}-{student.data.split}-{student.seed}-{task}"
            config = source_task_config(task, student)
        else:
            place = f"{student.model.name}-{task}"
            config = self.source.replace(
                model=student.model.name,
                target=TASKS[task],
                split="random",
                embedding=resolve(student).model.embedding,
                freeze=frozen_encoder(student),
            )
        # It starts from the weights that its student starts from.
        config = config.replace(init=student.model.init)
        if not frozen:
            place, config = f"{place}-encoder", config.replace(freeze={})
        return _finish(config, folder / "source-networks" / place, console, command)


def _prefixes(tasks: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for length in range(1, len(tasks) + 1):
        yield tasks[:length]


def _finish(
    config: RunConfig,
    folder: Path,
    console: Console,
    command: list[str],
    recordings: Recordings | None = None,
) -> Path:
    """Runs or resumes what is not finished; returns the folder."""
    if is_finished(folder):
        if recordings is not None and len(recordings.corpora) == 1:
            hashes = corpus_hashes(recordings.corpora, recordings.target, recordings.content)
            check_corpus(folder, hashes)
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
    """Adds `parameters`, and the `validation` and `test` accuracy in [0, 1], to the rows."""
    measured = []
    for row in rows:
        metrics = report.read_metrics(Path(str(row["folder"])) / "metrics.json")
        wa = {split: metrics[split]["wa"]["value"] for split in ("validation", "test")}
        measured.append({**row, "parameters": metrics["parameters"], **wa})
    return measured
