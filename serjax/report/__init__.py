"""What a run leaves behind: its tables, figures, and a page that shows them.

Everything is made from the files in the run's folder, so it can be rebuilt at any time:
`config.json`, `history.csv`, `predictions.csv` and `metrics.json` (see `serjax.report.records`).
"""

from serjax.report.embedding import plot_embedding, plot_reconstructions
from serjax.report.figures import plot_confusion, plot_curves, spectrogram_png
from serjax.report.page import HardUtterance, hardest_utterances, write_page
from serjax.report.records import (
    HISTORY_COLUMNS,
    Predictions,
    read_config,
    read_history,
    read_metrics,
    read_predictions,
    write_history,
    write_json,
    write_predictions,
)
from serjax.report.summary import measure, print_summary

__all__ = [
    "HISTORY_COLUMNS",
    "HardUtterance",
    "Predictions",
    "hardest_utterances",
    "measure",
    "plot_confusion",
    "plot_curves",
    "plot_embedding",
    "plot_reconstructions",
    "print_summary",
    "read_config",
    "read_history",
    "read_metrics",
    "read_predictions",
    "spectrogram_png",
    "write_history",
    "write_json",
    "write_page",
    "write_predictions",
]
