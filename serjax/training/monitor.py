"""What makes an epoch the best one, whose weights are kept."""

from collections.abc import Callable, Mapping

MONITORS: dict[str, Callable[[Mapping[str, float]], tuple[float, ...]]] = {
    # Small validation parts have many ties.
    "ua": lambda row: (row["validation_ua"], -row["validation_loss"]),
    # Of small training parts the loss is lowest after a few epochs, when answers that stay wrong
    # grow confident, and UA rises on.
    "loss": lambda row: (-row["validation_loss"],),
}
"""By name, an epoch's row of the history -> larger is better."""
