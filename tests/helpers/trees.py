"""Generated corpora: trees of files with the layout and names of the real ones."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile


def touch(root: Path, *paths: str) -> Path:
    """Creates empty files and returns their root; loaders do not open recordings."""
    for folder in {os.path.dirname(path) for path in paths}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for path in paths:
        open(root / path, "a").close()
    return root


def write_tone(
    path: Path, seconds: float = 0.1, sample_rate: int = 16000, hz: float = 440, channels: int = 1
) -> None:
    """Writes a tone to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = 0.5 * np.sin(2 * np.pi * hz * time)
    soundfile.write(path, np.stack([tone] * channels, axis=1), sample_rate)


def give_sound(root: Path, seconds: float = 0.5, lowest_hz: float = 200) -> Path:
    """Writes a tone into each recording of a tree, each 5 Hz above the previous one."""
    for number, path in enumerate(sorted(root.rglob("*.wav"))):
        write_tone(path, seconds, hz=lowest_hz + 5 * number)
    return root


def ravdess(root: Path, actors: int = 24, emotions: int = 8) -> Path:
    """Creates empty recordings of RAVDESS's speech, with two statements and one intensity."""
    names = (
        f"Actor_{actor:02}/03-01-{emotion:02}-01-{statement:02}-01-{actor:02}.wav"
        for actor in range(1, actors + 1)
        for emotion in range(1, emotions + 1)
        for statement in (1, 2)
    )
    return touch(root, *names)


# Utterances of each session and label. Those of anger, happiness, excitement, neutral and sadness
# are widely tabulated; their sums are those of Padi et al. (2021), table 2. Only the sums of the
# other labels are published; here these labels are in the first sessions.
IEMOCAP_COUNTS = {
    1: {"ang": 229, "hap": 135, "exc": 143, "neu": 384, "sad": 194, "fru": 1000, "xxx": 1000},
    2: {"ang": 137, "hap": 117, "exc": 210, "neu": 362, "sad": 197, "fru": 849, "xxx": 1000},
    3: {"ang": 240, "hap": 135, "exc": 151, "neu": 320, "sad": 305, "sur": 107, "xxx": 507},
    4: {"ang": 327, "hap": 65, "exc": 238, "neu": 258, "sad": 143, "fea": 40, "oth": 3},
    5: {"ang": 170, "hap": 143, "exc": 299, "neu": 384, "sad": 245, "dis": 2},
}
_DIALOGS = ("F_impro01", "M_impro05b", "F_script01_1", "M_script03_2", "F_script01_1b", "M_impro07")


def iemocap(root: Path, counts: dict[int, dict[str, int]] | None = None) -> Path:
    """Creates IEMOCAP's tables, empty recordings, and the other files of the distribution."""
    for session, labels in (counts or IEMOCAP_COUNTS).items():
        utterances = [label for label, count in labels.items() for _ in range(count)]
        lines = defaultdict(list)
        recordings = []
        for i, label in enumerate(utterances):
            # A dialog has the utterances of both speakers, but the name of one.
            dialog = f"Ses0{session}{_DIALOGS[i % len(_DIALOGS)]}"
            name = f"{dialog}_{'FM'[i % 5 % 2]}{i:03d}"
            lines[dialog] += [
                f"[{i + 0.25:.4f} - {i + 2.5:.4f}]\t{name}\t{label}\t[2.5000, 3.0000, 3.5000]",
                "C-E2:\tNeutral;\t()",
                "C-E3:\tSadness; Other;\t([weird] comment)",
                "C-F1:\tNeutral state;\t()",
                "A-E3:\tval 3; act 2; dom  2;\t()",
                "A-F1:\tval 4; act 4; dom  5;\t(curious)",
                "",
            ]
            recordings.append(f"Session{session}/sentences/wav/{dialog}/{name}.wav")
        touch(root, *recordings)
        tables = root / f"Session{session}/dialog/EmoEvaluation"
        for dialog, content in lines.items():
            head = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
            (tables / "Categorical").mkdir(parents=True, exist_ok=True)
            (tables / f"{dialog}.txt").write_text("\n".join([*head, *content]))
            name = content[0].split("\t")[1]
            other = f"[0.0000 - 1.0000]\t{dialog}_F999\toth\t[1.0000, 1.0000, 1.0000]"
            (tables / "Categorical" / f"Ses0{session}F_impro09.txt").write_text(other)
            (tables / f"._{dialog}.txt").write_bytes(b"[\0\5\x16\7")
            (tables / "Categorical" / f"{dialog}_e2_cat.txt").write_text(f"{name} :Anger; ()")
            touch(root, f"Session{session}/dialog/wav/{dialog}.wav")
    return root


def emodb(folder, seconds=1.0, speakers=("03", "08", "09"), letters="WNT"):
    """Writes recordings of noise with the names of EMO-DB."""
    rng = np.random.default_rng(0)
    (folder / "wav").mkdir(parents=True)
    for speaker in speakers:
        for letter in letters:
            for text in ("a01", "a02"):
                noise = 0.1 * rng.standard_normal(int(16000 * seconds))
                soundfile.write(folder / "wav" / f"{speaker}{text}{letter}a.wav", noise, 16000)
    return folder
