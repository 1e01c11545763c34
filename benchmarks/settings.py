"""Settings of a suite, and the interface that a suite offers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from serjax.report.plots.dots import Dot, plot_dots

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

Rows = list[dict[str, Any]]
Cases = Mapping[str, Callable[[], Rows]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run of a suite; rows of equal settings and commits are comparable.

    Attributes:
        rounds: Number of calls of each program.
        dtype: Arithmetic, "float32" or "bfloat16".
        quick: Measure only some of the sizes.
        baselines: Measure other libraries too.
        models: Names of networks; empty selects the suite's default ones.
        parallel: Kind of batch sharding in the suite `training`, "shard_map" or "pmap".
        scan_steps: Training steps per call in the suite `training`; None selects the default of
            the device.
    """

    rounds: int
    dtype: str
    quick: bool = False
    baselines: bool = False
    models: tuple[str, ...] = ()
    parallel: str = "shard_map"
    scan_steps: int | None = None


class Plot(Protocol):
    """The plot of a suite."""

    @property
    def label(self) -> str:
        """Description of the plotted quantity."""

    def draw(self, rows: Rows, dark: bool) -> "MatplotlibFigure | None":
        """Plots the rows, on a dark background if `dark`; None if there is nothing to plot."""


class Suite(Protocol):
    """A module that measures one subject.

    Its docstring describes the measurement. The paragraphs after the first are printed with the
    tables.
    """

    @property
    def TITLE(self) -> str:
        """Title of the table."""

    @property
    def COLUMNS(self) -> Mapping[str, str]:
        """Titles of the table's columns by the keys of a row; "%" marks fractions in percent."""

    @property
    def FIGURE(self) -> Plot:
        """Plot of the table."""

    def cases(self, settings: Settings) -> Cases:
        """Returns the functions that measure the rows of each case, by the case's name."""


@dataclasses.dataclass(frozen=True)
class DotPlot:
    """A dot plot of one quantity: a line for each kind of row, a dot for each series.

    Attributes:
        quantity: Column of the value; it has a lower and an upper end.
        label: Label of the scale.
        rows: Columns whose values name a line.
        series: Column whose value names a dot.
        reference: Value marked across all lines, or None.
        reference_series: Series that always has the reference value and is not plotted; None plots
            all series.
    """

    quantity: str
    label: str
    rows: tuple[str, ...]
    series: str = "form"
    reference: float | None = None
    reference_series: str | None = None

    def draw(self, rows: Rows, dark: bool) -> "MatplotlibFigure | None":
        """Plots dots on a logarithmic scale, see `serjax.report.plots.dots`."""
        dots = [
            Dot(
                ", ".join(str(row[name]) for name in self.rows),
                str(row[self.series]),
                *(row[f"{self.quantity}{end}"] for end in ("", "_low", "_high")),
            )
            for row in rows
            if row[self.quantity] is not None and row[self.series] != self.reference_series
        ]
        if not dots:
            return None
        return plot_dots(dots, self.label, reference=self.reference, dark=dark)
