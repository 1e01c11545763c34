"""Report page of a run: one file that opens anywhere and loads nothing from the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax.files import PathLike, write_text_atomic
from serjax.report.files.history import auxiliary_losses, read_history
from serjax.report.files.predictions import read_predictions
from serjax.report.files.records import read_config, read_metrics, read_summary, read_timing
from serjax.report.page import cards, html, provenance, results
from serjax.report.page.formatting import count, duration
from serjax.report.page.hardest import HardUtterance, hardest_utterances
from serjax.report.plots.confusion import plot_confusion
from serjax.report.plots.curves import plot_curves

# Headings of the figures that only some runs have.
_FIGURES = {"reconstruction.png": "Reconstructions", "embedding.png": "Embedding"}


def write_page(run_dir: PathLike, *, hardest: Sequence[HardUtterance] | None = None) -> Path:
    """Writes `report.html`, and the figures `curves.png`, `confusion.png` and `confusion.pdf`.

    A run without `history.csv` has no curves. The page shows `reconstruction.png` and
    `embedding.png` if the folder has them.

    The page holds its style and its images, and runs no script. It follows the reader's light or
    dark scheme and can be printed. The same files give the same page.

    Args:
        run_dir: Run folder, or folder of a set of runs (see `serjax.report.files`).
        hardest: Utterances to show as the hardest, from `hardest_utterances` with spectrograms and
            audio added; None shows them without spectrograms and audio.

    Returns:
        Path of `report.html`.

    Raises:
        InputError: A file of the folder is missing or malformed.
    """
    run_dir = Path(run_dir)
    config = read_config(run_dir / "config.json")
    # Only networks have a history.
    history_path = run_dir / "history.csv"
    history = read_history(history_path) if history_path.exists() else []
    metrics = read_metrics(run_dir / "metrics.json")
    predictions = read_predictions(run_dir / "predictions.csv")
    if hardest is None:
        hardest = hardest_utterances(predictions)

    best_epoch = metrics.get("best_epoch")
    confusion, classes = metrics["confusion"], metrics["classes"]
    matrix = (
        plot_confusion(confusion, classes, [run_dir / "confusion.png", run_dir / "confusion.pdf"]),
        plot_confusion(confusion, classes, dark=True),
    )
    title = f"{config['model']['name']} on {config['data']['dataset']}"
    if config["data"].get("test_dataset"):
        title += f", tested on {config['data']['test_dataset']}"
    body = [
        _header(title, config, metrics),
        results.headline(metrics),
        results.runs(read_summary(run_dir / "summary.json")),
        _training(history, run_dir, best_epoch),
        html.section(
            "Confusion",
            html.themed_figure(*matrix, "Confusion matrix of the test utterances"),
        ),
        *(
            html.section(
                heading,
                f"<div class='scroll'>{html.image((run_dir / name).read_bytes(), heading)}</div>",
            )
            for name, heading in _FIGURES.items()
            if (run_dir / name).exists()
        ),
        html.section("Classes", results.per_class(metrics)),
        results.speakers(predictions.of_split("test")),
        html.section("Hardest utterances", cards.hardest_cards(hardest)),
        html.section("Configuration", provenance.configuration(config)),
        provenance.notes(config.get("notes", [])),
        provenance.times(read_timing(run_dir / "timing.json")),
        provenance.command(config.get("command")),
    ]
    path = run_dir / "report.html"
    write_text_atomic(path, html.document(title, body))
    return path


def _header(title: str, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    data = config["data"]
    # A set of runs has a protocol, such as the folds of a split.
    facts = [str(config.get("protocol") or f"{data['split']} split")]
    if "protocol" not in config and data.get("fold"):
        facts.append(f"fold {data['fold']}")
    if "parameters" in metrics:
        facts.append(f"{metrics['parameters']:,} parameters")
    if "seed" in config:
        facts.append(f"seed {config['seed']}")
    if "device" in config:
        facts.append(str(config["device"]))
    listed = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts)
    return f"<header>\n<h1>{html.escape(title)}</h1>\n<ul class='facts'>{listed}</ul>\n</header>\n"


def _training(history: Sequence[Mapping[str, float]], run_dir: Path, best_epoch: int | None) -> str:
    """Shows the curves, the speed and the best epoch; nothing for a model without epochs."""
    if not history:
        return ""
    curves = (
        plot_curves(history, run_dir / "curves.png", best_epoch),
        plot_curves(history, None, best_epoch, dark=True),
    )
    return html.section(
        "Training",
        html.themed_figure(*curves, "Loss, WA and UA over the epochs"),
        _epochs_note(history, best_epoch),
    )


def _epochs_note(history: Sequence[Mapping[str, float]], best_epoch: int | None) -> str:
    seconds = [row["seconds"] for row in history]
    rates = [row["examples_per_second"] for row in history]
    text = f"{count(len(history), 'epoch')}; {duration(float(np.median(seconds)))} an epoch, "
    text += f"{np.median(rates):,.0f} examples per second (medians)."
    if best_epoch is not None:
        text += f" The best checkpoint is that of epoch {best_epoch}."
    for name, values in auxiliary_losses(history).items():
        text += f" Auxiliary loss {name}: {values[0]:.3g} at the first epoch, "
        text += f"{values[-1]:.3g} at the last."
    return f"<p class='note'>{html.escape(text)}</p>"
