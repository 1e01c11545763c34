"""RAVDESS, the Ryerson audio-visual database of emotional speech and song: its speech.

S. R. Livingstone and F. A. Russo, PLoS ONE 13(5):e0196391, 2018. Twenty-four actors speak two
sentences, twice, at two intensities (neutral: one): 1,440 recordings of 2.9 to 5.3 s at 48 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="RAVDESS",
    recording=r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)",
    expected="Actor_XX/03-01-EE-II-SS-RR-AA.wav (emotion, intensity, statement, repetition, "
    "actor), such as Actor_12/03-01-06-01-02-01-12.wav",
    source="Audio_Speech_Actors_01-24.zip, https://zenodo.org/records/1188976",
)

MODALITIES = {"01": "video with sound", "02": "video", "03": "audio"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
ACTORS = {f"{actor:02d}": f"{actor:02d}" for actor in range(1, 25)}


@register(
    "ravdess",
    counts={**dict.fromkeys(EMOTIONS.values(), 192), "neutral": 96},
    speakers=24,
    total=1440,
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of RAVDESS: emotion, speaker ("01" to "24", odd ones male) and statement.

    All labels are read from the name of a file. Its folder is ignored, because some copies have
    files in the folders of other actors. The text is the code of the statement: "01" ("Kids are
    talking by the door") or "02" ("Dogs are sitting by the door"). Song is dropped, and so is
    sound from the videos, which have the same speech; the notes count both.

    Two published recordings are byte-identical, 03-01-03-01-02-01-07 and 03-01-03-01-02-02-07.
    The corpus holds both, as every published count does. Splits with content hashes put them in
    the same set.

    Args:
        data_dir: Folder of the corpus; recordings may lie at any depth.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no speech of the corpus, or a file name holds an unknown code.
    """
    recordings = files.find(data_dir, LAYOUT)
    utterances = []
    others = 0
    for path, match in recordings.matches:
        modality, channel, emotion, _, statement, _, actor = match.groups()
        kind = (
            files.decode(LAYOUT, path, "modality", modality, MODALITIES),
            files.decode(LAYOUT, path, "vocal channel", channel, CHANNELS),
        )
        if kind != ("audio", "speech"):
            others += 1
            continue
        utterances.append(
            Utterance(
                path,
                emotion=files.decode(LAYOUT, path, "emotion", emotion, EMOTIONS),
                speaker=files.decode(LAYOUT, path, "actor", actor, ACTORS),
                text=statement,
            )
        )
    if not utterances:
        raise CorpusError(
            f"{LAYOUT.name}: no speech in {recordings.root}; expected {LAYOUT.expected} "
            f"({LAYOUT.source}); found {others} recordings of song or from video"
        )
    notes = recordings.notes
    if others:
        notes = (*notes, f"dropped {others} recordings of song or from video")
    return corpus_of_files("ravdess", utterances, recordings.root, notes)
