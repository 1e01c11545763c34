"""Folders with one sub-folder per emotion."""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.registry import register

_NAME = "folder"
_WANTED = "expected a folder with one sub-folder of recordings per emotion, such as anger/1.wav"


@register("folder")
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of a folder: emotion, the lower-case name of the first folder below it.

    Speakers are unknown, so a random split may put a speaker in two sets. A CSV file can name the
    speakers, see `serjax.data.corpora.csv_table`.

    Args:
        data_dir: The folder. Recordings may lie in folders below those of the emotions; hidden
            files and folders, whose names begin with a dot, are ignored.

    Returns:
        The corpus.

    Raises:
        CorpusError: No sub-folder holds a recording, or one of them holds none.
    """
    root = files.existing_folder(data_dir, _NAME, _WANTED)
    paths = [path for path in files.walk(root) if not any(p[0] == "." for p in path.split("/"))]
    recordings = [path for path in paths if files.is_audio(path) and "/" in path]
    if not recordings:
        raise CorpusError(
            f"{_NAME}: no recording in a sub-folder of {root}; {_WANTED}; {files.contents(paths)}"
        )
    labelled = {path.split("/")[0] for path in recordings}
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name[0] != "." and entry.name not in labelled:
            raise CorpusError(f"{_NAME}: {entry} holds no recording; {_WANTED}")
    utterances = [Utterance(path, emotion=path.split("/")[0].lower()) for path in recordings]
    notes = []
    if others := len(paths) - len(recordings):
        notes.append(f"ignored {others} files that are no recordings in a sub-folder")
    return corpus_of_files(_NAME, utterances, root, notes)
