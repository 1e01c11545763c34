"""SAVEE, the Surrey audio-visual expressed emotion database: its audio.

S. Haq and P. J. B. Jackson, "Multimodal emotion recognition", in Machine Audition, IGI Global,
2010.
Four men speak 15 sentences in each of seven emotions, neutral 30: 480 recordings at 44.1 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files

LAYOUT = files.Layout(
    name="SAVEE",
    recording=r"(DC|JE|JK|KL)[/_]([a-z]+)(\d\d)",
    expected="AudioData/{DC,JE,JK,KL}/{a,d,f,h,n,sa,su}NN.wav, or flat, such as DC_a01.wav",
    source="http://kahlan.eps.surrey.ac.uk/savee",
)

EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}

PUBLISHED = files.Published(
    counts={**dict.fromkeys(EMOTIONS.values(), 60), "neutral": 120},
    speakers=4,
    total=480,
)


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads SAVEE's table: emotion, speaker ("DC") and text, emotion code and number ("sa01").

    Three sentences are common to the emotions, the others are not, and neutral has its own
    numbers for all: so a number alone does not say what is spoken, and a text is one emotion's.

    Args:
        data_dir: The corpus's folder; recordings are found anywhere below it.

    Raises:
        CorpusError: Nothing is found there, or a name holds an unknown emotion code.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    for path, match in recordings.matches:
        speaker, code, number = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion code", code, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=speaker, text=code + number))
    return corpus_of_files("savee", utterances, recordings.root, recordings.notes)
