"""What a run leaves behind: its tables, figures, and a page that shows them.

Everything is made from the files in the run's folder, so it can be rebuilt at any time:
`config.json`, `history.csv`, `predictions.csv` and `metrics.json` (see `serjax.report.records`).
"""

from serjax.report.comparison import compare, print_comparison
from serjax.report.corpus_figures import plot_description
from serjax.report.embedding import plot_embedding, plot_reconstructions
from serjax.report.ensemble import write_ensemble
from serjax.report.figures import plot_confusion, plot_curves, plot_epochs, spectrogram_png
from serjax.report.formats import write_json
from serjax.report.hardest import HardUtterance, hardest_utterances
from serjax.report.page import write_page
from serjax.report.paper import (
    Confusion,
    Curves,
    Epochs,
    Figures,
    Outcome,
    PaperTable,
    PerClass,
    paper_markdown,
    read_outcome,
)
from serjax.report.records import (
    HISTORY_COLUMNS,
    Predictions,
    read_config,
    read_history,
    read_metrics,
    read_predictions,
    read_summary,
    write_history,
    write_predictions,
)
from serjax.report.series import print_series, write_series
from serjax.report.series_table import print_series_table, write_series_table
from serjax.report.summary import NAMES, measure, print_summary
from serjax.report.sweep import print_sweep, write_sweep

__all__ = [
    "HISTORY_COLUMNS",
    "NAMES",
    "Confusion",
    "Curves",
    "Epochs",
    "Figures",
    "HardUtterance",
    "Outcome",
    "PaperTable",
    "PerClass",
    "Predictions",
    "compare",
    "hardest_utterances",
    "measure",
    "paper_markdown",
    "plot_confusion",
    "plot_curves",
    "plot_description",
    "plot_embedding",
    "plot_epochs",
    "plot_reconstructions",
    "print_comparison",
    "print_series",
    "print_series_table",
    "print_summary",
    "print_sweep",
    "read_config",
    "read_history",
    "read_metrics",
    "read_outcome",
    "read_predictions",
    "read_summary",
    "spectrogram_png",
    "write_ensemble",
    "write_history",
    "write_json",
    "write_page",
    "write_predictions",
    "write_series",
    "write_series_table",
    "write_sweep",
]
