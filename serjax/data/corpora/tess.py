"""TESS, the Toronto emotional speech set.

M. K. Pichora-Fuller and K. Dupuis, Toronto emotional speech set (TESS), 2020,
doi:10.5683/SP2/E8H2MF.
Two actresses, an older and a younger one, say "Say the word ..." with 200 words in seven emotions:
2,800 recordings at 24,414 Hz, but one, OAF_food_fear, at 96 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files

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

PUBLISHED = files.Published(
    counts=dict.fromkeys(EMOTIONS.values(), 400),
    speakers=2,
    total=2800,
)


def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads TESS's table: emotion, speaker ("OAF" or "YAF") and text, the word.

    The name of a file decides everything, its folder nothing: copies call the folders differently.

    Args:
        data_dir: The corpus's folder; recordings are found anywhere below it.

    Raises:
        CorpusError: Nothing is found there, or a name holds an unknown emotion.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    for path, match in recordings.matches:
        actress, word, code = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion", code, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=f"{actress}F", text=word))
    return corpus_of_files("tess", utterances, recordings.root, recordings.notes)
