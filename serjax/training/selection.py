"""What makes an epoch the best one, whose weights are kept."""

from collections.abc import Callable, Mapping

SELECTIONS: dict[str, Callable[[Mapping[str, float]], tuple[float, ...]]] = {
    "loss": lambda row: (-row["validation_loss"],),
    # Small validation parts have many ties.
    "ua": lambda row: (row["validation_ua"], -row["validation_loss"]),
}
"""By name, an epoch's row of the history -> larger is better."""
