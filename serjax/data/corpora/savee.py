"""SAVEE, the Surrey audio-visual expressed emotion database: its audio.

S. Haq and P. J. B. Jackson, "Multimodal emotion recognition", in Machine Audition, IGI Global,
2010.
Four men speak 15 sentences in each of seven emotions, neutral 30: 480 recordings at 44.1 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

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


@register(
    "savee",
    counts={**dict.fromkeys(EMOTIONS.values(), 60), "neutral": 120},
    speakers=4,
    total=480,
    shareable=False,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of SAVEE: emotion, speaker (such as "DC") and text (such as "sa01").

    The text is the emotion code and the number of the sentence. The number does not identify the
    sentence without the code: only three sentences are common to the emotions, and neutral numbers
    all sentences differently.

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus, or a file name has an unknown
            emotion code.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    for path, match in recordings.matches:
        speaker, code, number = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion code", code, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=speaker, text=code + number))
    return corpus_of_files("savee", utterances, recordings.root, recordings.notes)
