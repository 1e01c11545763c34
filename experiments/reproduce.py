"""Runs a paper's experiments and puts the outcome beside what the paper reports.

    python experiments/reproduce.py deepika2025 --data-dir ravdess=RAVDESS --only ravdess-clean
    python experiments/reproduce.py kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
    python experiments/reproduce.py padi2021 --embedded --scale small

Each file in experiments/recipes is a paper. Rows whose corpora are not given are left out, with a
line on how to get them; what a corpus lacks of its published contents is told before anything is
trained. --embedded runs all on the corpus of synthetic speech instead, which shows that they run
and nothing else. Finished rows are not run again by --resume.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse
import dataclasses
import importlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes import Recipe, Row
from rich.console import Console

from serjax import data, models, report, training
from serjax.data.corpora import PUBLISHED
from serjax.data.describe import differences
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.training import arguments
from serjax.training.sweep import Sweep

RECIPES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
_SCALES = ("paper", "small")
# Of the embedded corpus at the small scale: 72 utterances.
_FEW = {"speakers": 6, "words": 3}
# Other speakers, whose voices vary twice as much.
_OTHERS = {"seed": 1, "variation": 1.0}
_FEWEST_FOLDS = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("recipe", help=", ".join(RECIPES))
    add(
        "--data-dir",
        action="append",
        default=[],
        metavar="CORPUS=DIR",
        help="where a corpus lies; once for each",
    )
    add("--embedded", action="store_true", help="on the embedded corpus instead of the paper's")
    add("--only", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    add(
        "--scale",
        default="paper",
        help="paper, or small: few rows, folds and epochs, small networks (%(default)s)",
    )
    add("--seed", type=int, default=0, help="(%(default)s)")
    add(
        "--init",
        action="append",
        default=[],
        metavar="MODEL=RUN|FILE",
        help="weights to start from, in every row of a model; once for each",
    )
    add("--out", type=Path, help="folder for the results (runs/RECIPE)")
    add("--resume", action="store_true", help="go on with what was interrupted in the folder")
    return parser


def _pairs(flag: str, meant: str, given: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The values of a flag that is given as NAME=VALUE."""
    pairs = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"{flag}: expected {meant}, found {text!r}")
        if name not in known:
            of = meant.partition("=")[0].lower()
            raise InputError(unknown_name(f"{of} of this recipe", name, known))
        pairs[name] = value
    return pairs


def configured(
    recipe: Recipe,
    row: Row,
    folders: Mapping[str, str] | None,
    *,
    seed: int = 0,
    initial: Mapping[str, str] | None = None,
    small: bool = False,
) -> training.RunConfig:
    """A row's configuration on the corpora at hand.

    Args:
        recipe: The row's.
        row: What to run.
        folders: Where each corpus lies; None: the embedded corpus in place of all.
        seed: Of everything random.
        initial: Weights to start from, by model.
        small: Whether to run as little as shows that it works.
    """
    fields: dict[str, Any] = {**row.config, "seed": seed}
    if row.config["model"] in models.names():
        fields["initial"] = (initial or {}).get(row.config["model"])
        if small:
            fields |= recipe.small
    if folders is None:
        few = _FEW if small else {}
        fields |= {"dataset": "synthetic", "labels": None, "dataset_options": few}
        if "test_dataset" in fields:
            fields |= {"test_dataset": "synthetic", "test_dataset_options": {**few, **_OTHERS}}
    elif fields["dataset"] == "joined":
        fields["dataset_options"] = {"corpora": {name: folders[name] for name in row.corpora}}
    else:
        fields["data_dir"] = folders[fields["dataset"]]
        if "test_dataset" in fields:
            fields["test_dir"] = folders[fields["test_dataset"]]
    return training.RunConfig(**fields)


def _chosen(
    recipe: Recipe,
    only: Sequence[str],
    folders: Mapping[str, str] | None,
    small: bool,
    console: Console,
) -> list[Row]:
    """The rows that are asked for and whose corpora are there."""
    names = [row.name for row in recipe.rows]
    for name in only:
        if name not in names:
            raise InputError(unknown_name("row", name, names))
    wanted = only or (recipe.small_rows if small else ()) or names
    rows = []
    told: set[str] = set()
    for row in recipe.rows:
        if row.name not in wanted:
            continue
        missing = [] if folders is None else [c for c in row.corpora if c not in folders]
        if not missing:
            rows.append(row)
            continue
        console.print(f"left out {row.name}: no {', '.join(missing)}", highlight=False)
        told |= set(missing)
    for corpus in sorted(told):
        console.print(
            f"{corpus}: --data-dir {corpus}=DIR: {recipe.corpora[corpus]}",
            highlight=False,
            soft_wrap=True,
        )
    if not rows:
        raise InputError(
            "nothing to run: give a corpus by --data-dir CORPUS=DIR, or try --embedded"
        )
    return rows


def _lacking(folders: Mapping[str, str]) -> list[str]:
    """What the corpora hold otherwise than published, a line each.

    Raises:
        CorpusError: A folder does not hold its corpus.
    """
    lines = []
    for name, folder in folders.items():
        corpus = data.load(name, folder)
        found = list(differences(corpus, PUBLISHED[name])) if name in PUBLISHED else []
        if found:
            counts = "; ".join(f"{what} {here:,} of {there:,}" for what, here, there in found)
            lines.append(f"{name} is not as published: {counts}")
    return lines


def _run(
    row: Row,
    config: training.RunConfig,
    folder: Path,
    small: bool,
    teachers: training.RunConfig | None,
    **options: Any,
) -> Path:
    """Runs a row unless it is finished; returns the folder that its measures are in."""
    if row.anti_transfer is not None:
        method, layer = row.anti_transfer
        swept = Sweep(
            config,
            models=(config.model,),
            methods=(method,),
            layers=(layer or 1,),
            splits=(config.split,),
            seeds=(config.seed,),
            teachers=teachers,
        )
        # Rows of a corpus share teachers, and dual methods the single ones that they go on from.
        return Path(str(swept.run(folder / row.config["dataset"], **options)[-1]["folder"]))
    place = folder / row.name
    if (place / "summary.json").exists():
        return place
    options = {**options, "out": place, "resume": place.exists()}
    if config.test_dataset is not None:
        # What training and validation do not share, within the first corpus.
        return training.cross_corpus(dataclasses.replace(config, split="speaker"), **options)
    folds = _FEWEST_FOLDS if small and row.folds else row.folds
    return training.cross_validate(config, folds=folds, **options)


def _cells(name: str, row: Row, measured: Mapping[str, Any]) -> tuple[str, str]:
    """The paper's figure and ours, in per cent."""
    published = f"{row.published[name]:g}" if name in row.published else ""
    if name in report.NAMES:
        here = {key: 100 * value for key, value in measured["test"][name].items()}
        return published, f"{here['value']:.1f} ({here['low']:.1f} – {here['high']:.1f})"
    if name in measured["per_class"]:
        return published, f"{100 * measured['per_class'][name]['recall']:.1f}"
    return published, ""


def _markdown(
    recipe: Recipe,
    rows: Sequence[Row],
    measured: Mapping[str, Mapping[str, Any]],
    about: Sequence[str],
) -> str:
    known = dict.fromkeys((*report.NAMES, *(name for row in rows for name in row.published)))
    shown = [name for name in known if any(name in row.published for row in rows)]
    titles = [report.NAMES.get(name, f"recall of {name}") for name in shown]
    header = ["", *(f"{title} % {whose}" for title in titles for whose in ("paper", "here"))]
    lines = [recipe.title, ""]
    for each in about:
        lines += [each, ""]
    lines += [f"| {' | '.join(header)} |", "|" + " --- |" * len(header)]
    for row in rows:
        cells = [text for name in shown for text in _cells(name, row, measured[row.name])]
        lines.append(f"| {' | '.join((row.title, *cells))} |")
    lines += ["", "Deviations:", "", *(f"- {each}" for each in recipe.deviations)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    given = _parser().parse_args()
    if given.recipe not in RECIPES:
        raise InputError(unknown_name("recipe", given.recipe, RECIPES))
    if given.scale not in _SCALES:
        raise InputError(unknown_name("scale", given.scale, _SCALES))
    recipe: Recipe = importlib.import_module(f"recipes.{given.recipe}").RECIPE
    console = Console()
    small = given.scale == "small"
    folders: dict[str, str] | None = _pairs(
        "--data-dir", "CORPUS=DIR", given.data_dir, list(recipe.corpora)
    )
    networks = [row.config["model"] for row in recipe.rows if row.config["model"] in models.names()]
    initial = _pairs("--init", "MODEL=RUN|FILE", given.init, list(dict.fromkeys(networks)))
    if given.embedded:
        folders = None
    rows = _chosen(recipe, given.only, folders, small, console)
    configs = {
        row.name: configured(recipe, row, folders, seed=given.seed, initial=initial, small=small)
        for row in rows
    }
    lacking = _lacking(folders or {})
    for line in lacking:
        console.print(line, highlight=False, soft_wrap=True)
    folder = given.out or Path("runs") / given.recipe
    if folder.exists() and any(folder.iterdir()) and not given.resume:
        raise InputError(f"{folder}: expected a new or empty folder; go on with it by --resume")

    def run(command: list[str]) -> None:
        measured = {}
        for row in rows:
            console.rule(row.title)
            config, teachers = configs[row.name], None
            if folders is not None and recipe.teachers in folders:
                teachers = dataclasses.replace(
                    config,
                    dataset=recipe.teachers,
                    data_dir=folders[recipe.teachers],
                    dataset_options=dict(recipe.teacher_options),
                    labels=None,
                )
            options = {"console": console, "command": command}
            place = _run(row, config, folder, small, teachers, **options)
            measured[row.name] = report.read_metrics(place / "metrics.json")
        where = "the embedded corpus of synthetic speech" if given.embedded else "its corpora"
        about = [f"`{shlex.join(command)}`, on {where}, with 95 % intervals."]
        if small:
            about.append(
                f"At the small scale, which shows that it runs: {len(rows)} of "
                f"{len(recipe.rows)} rows, at most {_FEWEST_FOLDS} folds, and "
                f"{', '.join(f'{name} {value}' for name, value in recipe.small.items())}."
            )
        text = _markdown(recipe, rows, measured, [*about, *lacking])
        write_text_atomic(folder / "table.md", text)
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return arguments.run(run)


if __name__ == "__main__":
    run_command(main)
