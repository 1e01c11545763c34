"""EMO-DB, the Berlin database of emotional speech.

F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier and B. Weiss, "A database of German emotional
speech", Interspeech 2005. Ten actors speak ten sentences: 535 recordings of 1.2 to 9.0 s at 16 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="EMO-DB",
    recording=r"(\d\d)([ab]\d\d)([A-Z])([a-z])",
    expected="wav/SSTTTEv.wav (speaker, text, emotion letter, version), such as wav/03a01Wa.wav",
    source="http://emodb.bilderbar.info",
)

# The letters abbreviate the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer.
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}


# Release 2.0 adds 281 recordings whose emotion fewer listeners recognized.
@register(
    "emodb",
    counts={
        "anger": 127,
        "boredom": 81,
        "disgust": 46,
        "fear": 69,
        "happiness": 71,
        "neutral": 79,
        "sadness": 62,
    },
    speakers=10,
    total=535,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of EMO-DB: emotion, speaker (such as "03") and text (such as "a01").

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus, or a file name has an unknown
            emotion letter.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    for path, match in recordings.matches:
        speaker, text, letter, _ = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion letter", letter, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=speaker, text=text))
    return corpus_of_files("emodb", utterances, recordings.root, recordings.notes)
