"""What a run leaves behind: its tables, figures, and a page that shows them.

Everything is made from the files in the run's folder, so it can be rebuilt at any time:
`config.json`, `history.csv`, `predictions.csv` and `metrics.json` (see `serjax.report.files.records`).
"""

from serjax.report.files.formats import write_json
from serjax.report.files.records import (
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
from serjax.report.page.hardest import HardUtterance, hardest_utterances
from serjax.report.page.page import write_page
from serjax.report.plots.corpus import plot_description
from serjax.report.plots.embedding import plot_embedding, plot_reconstructions
from serjax.report.plots.figures import plot_confusion, plot_curves, plot_epochs, spectrogram_png
from serjax.report.tables.comparison import compare, print_comparison
from serjax.report.tables.ensemble import write_ensemble
from serjax.report.tables.model_table import print_model_table, write_model_table
from serjax.report.tables.paper import (
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
from serjax.report.tables.run_set import print_run_set, write_run_set
from serjax.report.tables.summary import METRIC_NAMES, measure, print_summary
from serjax.report.tables.sweep import print_sweep, write_sweep

__all__ = [
    "HISTORY_COLUMNS",
    "METRIC_NAMES",
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
    "print_model_table",
    "print_run_set",
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
    "write_model_table",
    "write_page",
    "write_predictions",
    "write_run_set",
    "write_sweep",
]
