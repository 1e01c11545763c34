"""Flags of anti-transfer learning as an auxiliary loss of a run."""

import argparse

from serjax.anti_transfer.config import AntiTransfer
from serjax.cli.parser import Parser
from serjax.errors import InputError


def add_anti_transfer(parser: Parser) -> None:
    """Adds --anti-transfer, --at-layer, --at-beta, --at-aggregation."""
    add = parser.add_argument_group("anti-transfer").add_argument
    parser.advanced += [
        add(
            "--anti-transfer",
            action="append",
            default=[],
            metavar="SOURCE",
            help="Source-task network that the model's layers are kept dissimilar from: a run "
            "folder of the same model, speaker or word (found or trained first), or untrained; "
            "repeatable.",
        ),
        add(
            "--at-layer",
            action="append",
            default=[],
            metavar="LAYERS",
            help="Layers: 2, conv2, 2,5 or all (default: 2); one for all sources, or one for each.",
        ),
        add(
            "--at-beta",
            type=float,
            action="append",
            default=[],
            metavar="X",
            help="Weight of each layer's loss (default: 1).",
        ),
        add(
            "--at-aggregation",
            default="gram",
            metavar="NAME",
            help="Aggregation of the features that is compared: gram, mean, sum or max "
            "(default: gram).",
        ),
    ]


def read_anti_transfer(arguments: argparse.Namespace) -> tuple[AntiTransfer, ...]:
    """Reads source networks and layers from the flags of `add_anti_transfer`.

    Raises:
        InputError: Layers or weights that are not one for all sources or one for each.
    """
    sources = arguments.anti_transfer
    lists = {"--at-layer": arguments.at_layer, "--at-beta": arguments.at_beta}
    for flag, values in lists.items():
        if values and not sources:
            raise InputError(f"{flag}: expected with --anti-transfer SOURCE, found without")
        if len(values) > 1 and len(values) != len(sources):
            raise InputError(
                f"{flag}: expected once, or once for each of {len(sources)} source networks, "
                f"found {len(values)} times"
            )
    layers, betas = arguments.at_layer or ["2"], arguments.at_beta or [1.0]
    return tuple(
        AntiTransfer(
            source,
            tuple(layers[index % len(layers)].split(",")),
            betas[index % len(betas)],
            arguments.at_aggregation,
        )
        for index, source in enumerate(sources)
    )
