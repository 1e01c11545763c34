"""Speech Commands, a source task of words and speakers without emotions.

P. Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", 2018,
arXiv:1804.03209. In version 2, 2,618 speakers say 35 words: 105,829 recordings of up to a second at
16 kHz.
"""

from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="Speech Commands",
    recording=r"([a-z]+)/([0-9a-f]+)_nohash_(\d+)",
    expected="{word}/{speaker}_nohash_{take}.wav, such as yes/0a7c2a8d_nohash_0.wav",
    source="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
)

# Warden 2018, table 2.
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@register(
    "speech_commands",
    counts={
        "backward": 1664,
        "bed": 2014,
        "bird": 2064,
        "cat": 2031,
        "dog": 2128,
        "down": 3917,
        "eight": 3787,
        "five": 4052,
        "follow": 1579,
        "forward": 1557,
        "four": 3728,
        "go": 3880,
        "happy": 2054,
        "house": 2113,
        "learn": 1575,
        "left": 3801,
        "marvin": 2100,
        "nine": 3934,
        "no": 3941,
        "off": 3745,
        "on": 3845,
        "one": 3890,
        "right": 3778,
        "seven": 3998,
        "sheila": 2022,
        "six": 3860,
        "stop": 3872,
        "three": 3727,
        "tree": 1759,
        "two": 3880,
        "up": 3723,
        "visual": 1592,
        "wow": 2123,
        "yes": 4044,
        "zero": 4052,
    },
    speakers=2618,
    total=105829,
    column="text",
)
def load(data_dir: str | Path | None = None) -> Corpus:
    """Reads the table of Speech Commands: text, the word, speaker ("0a7c2a8d") and session.

    The session is the name of the official split, "train", "validation" or "test", so that the
    `predefined` split is the official one. It is None unless the official lists,
    validation_list.txt and testing_list.txt, are both in the folder. Background noise is dropped.

    Args:
        data_dir: Folder of the corpus, which holds one folder for each word.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording of the corpus.
    """
    recordings = files.find(data_dir, LAYOUT)
    split_of: dict[str, str] = {}
    lists = {split: recordings.root / name for split, name in _LISTS.items()}
    has_lists = all(path.is_file() for path in lists.values())
    if has_lists:
        for split, path_of_list in lists.items():
            names = files.read_lines(path_of_list, LAYOUT.name)
            split_of |= dict.fromkeys(map(str.strip, names), split)
    utterances = []
    for path, match in recordings.matches:
        word, speaker, _ = match.groups()
        session = split_of.get("/".join(path.split("/")[-2:]), "train") if has_lists else None
        utterances.append(Utterance(path, speaker=speaker, text=word, session=session))
    return corpus_of_files("speech_commands", utterances, recordings.root, recordings.notes)
