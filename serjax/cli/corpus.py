"""Describes the contents of a corpus and compares them with the published counts.

With --write the corpus is stored instead, as a TFDS dataset of array_record files, which
`--dataset tfds --data-dir DIR` reads.

serjax corpus emodb --data-dir EMODB
serjax corpus iemocap --data-dir IEMOCAP --labels iemocap_exp3 --plot figures
serjax corpus emodb --data-dir EMODB --write DIR
"""

import argparse
from pathlib import Path

from serjax.cli import flags
from serjax.cli.parser import Parser, key_value


def _parser() -> Parser:
    parser = Parser(__doc__, prog="serjax corpus", usage="%(prog)s NAME [options]")
    add = parser.add_argument
    add("name", metavar="NAME", help="Name of the corpus; an unknown one lists all names.")
    add(
        "--data-dir",
        metavar="DIR",
        help="Folder or CSV file of the corpus; none if bundled.",
    )
    add("--labels", metavar="NAME", help="Named set of emotions that is kept (all).")
    add("--plot", type=Path, metavar="DIR", help="Folder for figures of the description, PNG.")
    add(
        "--dataset-option",
        type=key_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="Option of the corpus; repeatable.",
    )
    add(
        "--write",
        type=Path,
        metavar="DIR",
        help="Folder in which the corpus is stored as a TFDS dataset.",
    )
    add(
        "--sample-rate",
        type=int,
        default=16000,
        metavar="HZ",
        help="Sample rate of the stored corpus, in Hz (default: %(default)s).",
    )
    add("--skip-bad-files", action="store_true", help="With --write, skip and list bad files.")
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="Module that registers corpora; repeatable.",
    )
    return parser


def main() -> int:
    """Parses the command line and prints; returns the exit status."""
    arguments = _parser().parse_args()

    from rich.progress import TimeRemainingColumn

    from serjax import data
    from serjax.console import Console
    from serjax.data import labels
    from serjax.data.corpora import PUBLISHED
    from serjax.data.describe import describe, print_description

    flags.import_modules(arguments.imports)
    if arguments.write is not None:
        return _write(arguments)
    corpus = data.load(arguments.name, arguments.data_dir, **dict(arguments.dataset_option))
    published = PUBLISHED.get(corpus.name)
    if arguments.labels is not None:
        corpus = labels.apply(corpus, arguments.labels)
        published = labels.apply_to_published(published, arguments.labels) if published else None
    with Console(stderr=True).progress(TimeRemainingColumn()) as bar:
        reading = bar.add_task(f"reading {arguments.name}", total=len(corpus))
        description = describe(
            corpus, published, lambda done, total: bar.update(reading, completed=done)
        )
    console = Console()
    print_description(console, description)
    if arguments.plot is not None:
        from serjax.report import font_note, plot_description

        for path in plot_description(description, arguments.plot):
            console.print(f"figure {path}")
        if note := font_note([*description.classes, *description.speakers]):
            console.print(f"note: {note}")
    return 0


def _write(arguments: argparse.Namespace) -> int:
    """Stores the corpus and prints its notes and folder; returns the exit status."""
    from serjax import data
    from serjax.console import Console

    builder = data.build(
        arguments.name,
        arguments.data_dir,
        arguments.write,
        label_set=arguments.labels,
        sample_rate=arguments.sample_rate,
        skip_bad_files=arguments.skip_bad_files,
        **dict(arguments.dataset_option),
    )
    stored = data.open_stored(builder.data_dir)
    console = Console()
    for note in stored.notes:
        console.print(f"note {note}")
    hours = stored.samples.sum() / stored.sample_rate / 3600
    console.print(
        f"wrote {len(stored.utterances)} utterances, {hours:.2f} h, to {builder.data_dir}"
    )
    return 0
