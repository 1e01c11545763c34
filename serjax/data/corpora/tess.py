"""TESS, the Toronto emotional speech set.

M. K. Pichora-Fuller and K. Dupuis, Toronto emotional speech set (TESS), 2020,
doi:10.5683/SP2/E8H2MF.
Two actresses, an older and a younger one, say "Say the word ..." with 200 words in seven emotions:
2,800 recordings at 24,414 Hz, except OAF_food_fear at 96 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

# One recording is published as OA_bite_neutral.
LAYOUT = files.Layout(
    name="TESS",
    recording=r"([OY]A)F?_([A-Za-z]+)_([a-z]+)",
    expected="{OAF,YAF}_{word}_{emotion}.wav, such as OAF_angry/OAF_back_angry.wav",
    source="https://doi.org/10.5683/SP2/E8H2MF",
)

EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}


@register(
    "tess",
    counts=dict.fromkeys(EMOTIONS.values(), 400),
    speakers=2,
    total=2800,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of TESS: emotion, speaker ("OAF" or "YAF") and text, the word.

    All labels are read from the name of a file. Its folder is ignored, because its name differs
    between copies.

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus, or a file name has an unknown
            emotion.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    for path, match in recordings.matches:
        actress, word, code = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion", code, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=f"{actress}F", text=word))
    return corpus_of_files("tess", utterances, recordings.root, recordings.notes)
