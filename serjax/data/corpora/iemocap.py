"""IEMOCAP, the interactive emotional dyadic motion capture database: its audio.

C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee and
S. S. Narayanan, Language Resources and Evaluation 42(4):335-359, 2008. Ten actors, a woman and a
man in each of five sessions, play scripts and improvise: 10,039 utterances at 16 kHz, labelled by
several annotators each. The label is the choice of their majority, if there is one.
"""

import re
from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.registry import register

_DIALOG = r"Ses0[1-5][FM]_(?:impro|script)\d\d[ab]?(?:_\d[ab]?)?"

LAYOUT = files.Layout(
    name="IEMOCAP",
    recording=rf"({_DIALOG}_[FM]\w+)",
    expected="SessionN/sentences/wav/{dialog}/{utterance}.wav and "
    "SessionN/dialog/EmoEvaluation/{dialog}.txt, such as "
    "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
    source="https://sail.usc.edu/iemocap",
    table=rf"EmoEvaluation/({_DIALOG})\.txt",
)

EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": None,
    "sad": "sadness",
    "sur": "surprise",
    "xxx": None,
}

_NUMBER = r"(\d+(?:\.\d+)?)"
_LINE = re.compile(
    rf"\[{_NUMBER} - {_NUMBER}\]\s+((Ses0[1-5])[FM]_\w+_([FM])\w+)\s+(\w+)\s+"
    rf"\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]\s*"
)


@register(
    "iemocap",
    counts={
        "anger": 1103,
        "disgust": 2,
        "excitement": 1041,
        "fear": 40,
        "frustration": 1849,
        "happiness": 595,
        "neutral": 1708,
        "sadness": 1084,
        "surprise": 107,
    },
    speakers=10,
    total=10039,
    shareable=False,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of IEMOCAP: emotion, speaker ("Ses01F"), session ("Ses01") and dimensions.

    The speaker is the session and the letter of the utterance's number, F000. The letter after the
    session, Ses01F, is the actor who wears the markers in the dialog; half of the utterances are
    spoken by the other actor.

    The emotion is None where the annotators disagree (xxx) or agree on another one (oth). Valence,
    activation and dominance are means over the annotators, on a scale of 1 to 5. The text is None,
    because the words of improvised dialogs never repeat. The times in the tables are relative to
    the dialog, but every utterance has its own file; so start and end are None.

    Args:
        data_dir: Folder of the corpus; recordings and tables may lie at any depth. The choices of
            single annotators, in lines and folders next to the labels, are ignored.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording, no table or no label of a recording, or a table
            has an unreadable line or an unknown emotion.
    """
    recordings = files.find(data_dir, LAYOUT)
    root = recordings.root
    path_of = {match[1]: path for path, match in recordings.matches}
    utterances: dict[str, Utterance] = {}
    without_recording: list[str] = []
    for table in recordings.tables.values():
        for name, utterance in _read_table(root, table, path_of).items():
            if name in path_of:
                utterances[name] = utterance
            else:
                without_recording.append(name)
    if not utterances:
        raise CorpusError(
            f"{LAYOUT.name}: none of the {len(without_recording)} labels in {root} is of one of "
            f"its {len(path_of)} recordings; {LAYOUT.wanted}"
        )
    notes = list(recordings.notes)
    if without_recording:
        notes.append(
            f"{len(without_recording)} labelled utterances have no recording, such as "
            f"{without_recording[0]}"
        )
    if unlabelled := sorted(path_of.keys() - utterances.keys()):
        notes.append(f"{len(unlabelled)} recordings have no label, such as {unlabelled[0]}")
    return corpus_of_files("iemocap", utterances.values(), root, notes)


def _read_table(root: Path, table: str, path_of: dict[str, str]) -> dict[str, Utterance]:
    """Returns the utterances of a dialog by name. The path of one without a recording is its name.

    The line of a label begins with a bracket. Lines of single annotators follow it.
    """
    utterances = {}
    lines = files.read_lines(root / table, LAYOUT.name)
    for number, line in enumerate(lines, start=1):
        if not line.startswith("["):
            continue
        where = f"{table}, line {number}"
        match = _LINE.fullmatch(line)
        if match is None:
            raise CorpusError(
                f"{LAYOUT.name}: {where}: expected [start - end], utterance, label and "
                f"[valence, activation, dominance]; found {line!r}"
            )
        _, _, name, session, letter, code, *dimensions = match.groups()
        valence, activation, dominance = map(float, dimensions)
        utterances[name] = Utterance(
            path_of.get(name, name),
            emotion=files.decode(LAYOUT, where, "emotion", code, EMOTIONS),
            speaker=session + letter,
            session=session,
            valence=valence,
            activation=activation,
            dominance=dominance,
        )
    return utterances
