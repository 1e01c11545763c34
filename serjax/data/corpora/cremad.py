"""CREMA-D, the crowd-sourced emotional multimodal actors dataset: its audio.

H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R. Verma, IEEE Trans. Affective
Computing 5(4):377-390, 2014. Ninety-one actors speak twelve sentences in six emotions: 7,442
recordings at 16 kHz. One of them, 1076_MTI_SAD_XX, has no samples.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

# Levels are low, medium, high and unspecified, XX; one recording, 1040_ITH_SAD_X, has a single X.
LAYOUT = files.Layout(
    name="CREMA-D",
    recording=r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)",
    expected="AudioWAV/AAAA_SSS_EEE_LL.wav (actor, sentence, emotion, level), such as "
    "AudioWAV/1001_IEO_ANG_LO.wav",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
)

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}


@register(
    "cremad",
    counts={**dict.fromkeys(EMOTIONS.values(), 1271), "neutral": 1087},
    speakers=91,
    total=7442,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of CREMA-D.

    The emotion is the intended one, the speaker is such as "1001", the text is the code of the
    sentence, such as "IEO".

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
        actor, sentence, code, _ = match.groups()
        emotion = files.decode(LAYOUT, path, "emotion code", code, EMOTIONS)
        utterances.append(Utterance(path, emotion=emotion, speaker=actor, text=sentence))
    return corpus_of_files("cremad", utterances, recordings.root, recordings.notes)
