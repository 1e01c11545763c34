"""Runs a paper's experiments and puts the outcome beside what the paper reports.

    python experiments/reproduce.py deepika2025 --data-dir ravdess=RAVDESS --only ravdess-clean
    python experiments/reproduce.py padi2021 --embedded --scale small

Each file in experiments/recipes is a paper. Rows whose corpora are not given are left out, with a
line on how to get them; --embedded runs all on the corpus of synthetic speech instead, which shows
that they run and nothing else. Finished rows are not run again by --resume.
"""

from serjax.command import prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import argparse
import dataclasses
import importlib
import shlex
from pathlib import Path
from typing import Any

from recipes import Recipe, Row
from rich.console import Console

from serjax import report, training
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.training import arguments

_RECIPES = ("deepika2025", "padi2021")
_MEASURES = {"wa": "WA", "ua": "UA", "f1_macro": "macro F1", "f1_weighted": "weighted F1"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("recipe", help=", ".join(_RECIPES))
    add(
        "--data-dir",
        action="append",
        default=[],
        metavar="CORPUS=DIR",
        help="where a corpus lies; once for each",
    )
    add("--embedded", action="store_true", help="on the embedded corpus instead of the paper's")
    add("--only", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    add("--scale", default="paper", help="paper, or small: a few epochs (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--init", metavar="RUN|FILE", help="weights to start from, in every row")
    add("--out", type=Path, help="folder for the results (runs/RECIPE)")
    add("--resume", action="store_true", help="go on with what was interrupted in the folder")
    return parser


def _folders(given: list[str], recipe: Recipe) -> dict[str, str]:
    folders = {}
    for text in given:
        corpus, separator, folder = text.partition("=")
        if not separator:
            raise InputError(f"--data-dir: expected CORPUS=DIR, found {text!r}")
        if corpus not in recipe.corpora:
            raise InputError(unknown_name("corpus of this recipe", corpus, recipe.corpora))
        folders[corpus] = folder
    return folders


def _configured(row: Row, given: argparse.Namespace, recipe: Recipe) -> training.RunConfig:
    """The row's configuration on the corpora at hand."""
    folders = _folders(given.data_dir, recipe)
    fields: dict[str, Any] = {**row.config, "seed": given.seed, "initial": given.init}
    if given.scale == "small":
        fields |= recipe.small
    if given.embedded:
        fields |= {"dataset": "synthetic", "labels": None}
        if "test_dataset" in fields:
            # Other speakers, whose voices vary twice as much.
            fields |= {"test_dataset": "synthetic"}
            fields |= {"test_dataset_options": {"seed": 1, "variation": 1.0}}
    else:
        fields["data_dir"] = folders[fields["dataset"]]
        if "test_dataset" in fields:
            fields["test_dir"] = folders[fields["test_dataset"]]
    return training.RunConfig(**fields)


def _chosen(given: argparse.Namespace, recipe: Recipe, console: Console) -> list[Row]:
    """The rows that are asked for and whose corpora are there."""
    names = [row.name for row in recipe.rows]
    for name in given.only:
        if name not in names:
            raise InputError(unknown_name("row", name, names))
    folders = _folders(given.data_dir, recipe)
    rows = []
    for row in recipe.rows:
        needed = [row.config[k] for k in ("dataset", "test_dataset") if k in row.config]
        missing = [corpus for corpus in needed if corpus not in folders]
        if given.only and row.name not in given.only:
            continue
        if missing and not given.embedded:
            wanted = "; ".join(f"--data-dir {c}=DIR: {recipe.corpora[c]}" for c in missing)
            console.print(f"left out {row.name}: {wanted}", highlight=False, soft_wrap=True)
            continue
        rows.append(row)
    if not rows:
        raise InputError(
            "nothing to run: give a corpus by --data-dir CORPUS=DIR, or try --embedded"
        )
    return rows


def _run(row: Row, config: training.RunConfig, folder: Path, **options: Any) -> dict[str, Any]:
    """Runs a row unless it is finished; returns its pooled measures."""
    if not (folder / "summary.json").exists():
        options = {**options, "out": folder, "resume": folder.exists()}
        if config.test_dataset is not None:
            # What training and validation do not share, within the first corpus.
            training.cross_corpus(dataclasses.replace(config, split="speaker"), **options)
        else:
            training.cross_validate(config, folds=row.folds, **options)
    pooled: dict[str, Any] = report.read_summary(folder / "summary.json")["pooled"]
    return pooled


def _markdown(
    recipe: Recipe, rows: list[Row], pooled: dict[str, dict[str, Any]], about: str
) -> str:
    shown = [m for m in _MEASURES if any(m in row.published for row in rows)]
    header = ["", *(f"{_MEASURES[m]} % {whose}" for m in shown for whose in ("paper", "here"))]
    lines = [recipe.title, "", about, "", f"| {' | '.join(header)} |"]
    lines.append("|" + " --- |" * len(header))
    for row in rows:
        cells = [row.title]
        for name in shown:
            cells.append(f"{row.published[name]:g}" if name in row.published else "")
            here = {key: 100 * value for key, value in pooled[row.name][name].items()}
            cells.append(f"{here['value']:.1f} ({here['low']:.1f} – {here['high']:.1f})")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Deviations:", "", *(f"- {each}" for each in recipe.deviations)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    given = _parser().parse_args()
    if given.recipe not in _RECIPES:
        raise InputError(unknown_name("recipe", given.recipe, _RECIPES))
    if given.scale not in ("paper", "small"):
        raise InputError(unknown_name("scale", given.scale, ("paper", "small")))
    recipe: Recipe = importlib.import_module(f"recipes.{given.recipe}").RECIPE
    console = Console()
    rows = _chosen(given, recipe, console)
    configs = {row.name: _configured(row, given, recipe) for row in rows}
    folder = given.out or Path("runs") / given.recipe
    if folder.exists() and any(folder.iterdir()) and not given.resume:
        raise InputError(f"{folder}: expected a new or empty folder; go on with it by --resume")

    def run(command: list[str]) -> None:
        pooled = {}
        for row in rows:
            console.rule(row.title)
            pooled[row.name] = _run(
                row, configs[row.name], folder / row.name, console=console, command=command
            )
        where = "the embedded corpus of synthetic speech" if given.embedded else "its corpora"
        about = f"`{shlex.join(command)}`, on {where}; pooled over folds, with 95 % intervals."
        text = _markdown(recipe, rows, pooled, about)
        write_text_atomic(folder / "table.md", text)
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return arguments.run(run)


if __name__ == "__main__":
    run_command(main)
