"""Run folders, and the tables, figures and pages made from their files.

Everything is made from `config.json`, `history.csv`, `predictions.csv` and `metrics.json` in the
run folder (see `serjax.report.files`), so it can be rebuilt at any time.
"""

from serjax.files import write_json
from serjax.report.files.history import (
    HISTORY_COLUMNS,
    auxiliary_losses,
    read_history,
    write_history,
)
from serjax.report.files.predictions import Predictions, read_predictions, write_predictions
from serjax.report.files.records import read_config, read_metrics, read_summary, read_timing
from serjax.report.page.hardest import HardUtterance, hardest_utterances
from serjax.report.page.page import write_page
from serjax.report.plots.confusion import plot_confusion
from serjax.report.plots.corpus import plot_description
from serjax.report.plots.curves import plot_curves, plot_epochs
from serjax.report.plots.embedding import plot_embedding, plot_reconstructions
from serjax.report.plots.fonts import font_note
from serjax.report.plots.spectrogram import spectrogram_png
from serjax.report.tables.comparison import compare, print_comparison
from serjax.report.tables.ensemble import write_ensemble
from serjax.report.tables.model_table import print_model_table, write_model_table
from serjax.report.tables.outcome import Outcome, read_outcome
from serjax.report.tables.paper import (
    Confusion,
    Curves,
    Epochs,
    Figures,
    LayerGains,
    PaperTable,
    PerClass,
)
from serjax.report.tables.paper_markdown import paper_markdown
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
    "LayerGains",
    "Outcome",
    "PaperTable",
    "PerClass",
    "Predictions",
    "auxiliary_losses",
    "compare",
    "font_note",
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
    "read_timing",
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
