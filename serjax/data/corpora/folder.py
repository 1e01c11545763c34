"""Folders with one sub-folder per emotion."""

import os
from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.listing import is_system_name, list_files
from serjax.data.registry import register

_NAME = "folder"
_WANTED = "expected a folder with one sub-folder of recordings per emotion, such as anger/1.wav"


@register("folder")
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of a folder: emotion, the lower-case name of the first folder below it.

    Speakers are unknown, so a random split may put a speaker in two sets. A CSV file can name the
    speakers, see `serjax.data.corpora.csv_table`.

    Args:
        data_dir: The folder. Recordings may lie in folders below those of the emotions.

    Returns:
        The corpus.

    Raises:
        CorpusError: No sub-folder holds a recording, one of them holds none or cannot be read, or
            a link in the place of one leads nowhere.
    """
    root = files.existing_folder(data_dir, _NAME, _WANTED)
    listing = list_files(root)
    recordings = [path for path in listing.paths if files.is_audio(path) and "/" in path]
    if not recordings:
        raise CorpusError(
            f"{_NAME}: no recording in a sub-folder of {root}; {_WANTED}; "
            f"{files.contents(listing.paths, listing.notes)}"
        )
    labelled = {path.split("/")[0] for path in recordings}
    for name in sorted(os.listdir(root)):
        if name in listing.unreadable:
            reason = listing.unreadable[name]
            raise CorpusError(f"{_NAME}: {root / name} cannot be read: {reason}; {_WANTED}")
        if name in listing.dead_links and not Path(name).suffix:
            target = listing.dead_links[name]
            raise CorpusError(f"{_NAME}: {root / name} is a link that leads nowhere, to {target}")
        if (root / name).is_dir() and not is_system_name(name) and name not in labelled:
            ignored = [path for path in listing.paths if path.startswith(f"{name}/")]
            notes = files.ignored_notes(root, ignored, "recordings")
            found = "; ".join(notes) or "found no files in it"
            raise CorpusError(f"{_NAME}: {root / name} holds no recording; {_WANTED}; {found}")
    utterances = [
        Utterance(path, emotion=path.split("/")[0].strip().lower()) for path in recordings
    ]
    ignored = sorted(set(listing.paths) - set(recordings))
    notes = [*listing.notes, *files.ignored_notes(root, ignored, "in a sub-folder")]
    return corpus_of_files(_NAME, utterances, root, notes)
