"""The words of LibriSpeech, a source task of words and speakers without emotions.

V. Panayotov, G. Chen, D. Povey and S. Khudanpur, "Librispeech: an ASR corpus based on public domain
audio books", ICASSP 2015; L. Lugosch, M. Ravanelli, P. Ignoto, V. S. Tomar and Y. Bengio, "Speech
model pre-training for end-to-end spoken language understanding", Interspeech 2019, whose word
alignments these are. Read at 16 kHz, in utterances of up to 35 s.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from serjax.data.corpora import files
from serjax.data.corpus import Corpus, CorpusError, Utterance, corpus_of_files
from serjax.data.registry import register

LAYOUT = files.Layout(
    name="LibriSpeech words",
    recording=r"((\d+)-(\d+)-\d+)",
    expected="{speaker}/{chapter}/{utterance}.flac and {speaker}-{chapter}.alignment.txt, such as "
    "84/121123/84-121123-0000.flac and 84/121123/84-121123.alignment.txt",
    source="https://www.openslr.org/12 and https://zenodo.org/records/2619474",
    table=r"(\d+-\d+)\.alignment\.txt",
)

_LINE = re.compile(r'(\S+) "([^"]*)" "([^"]*)"\s*')


@register("librispeech_words")
def load(data_dir: str | Path | None = None, words: int | None = None) -> Corpus:
    """Reads the table of the words of LibriSpeech.

    Every word is an utterance, a segment of a recording with a start and an end. The text is the
    word, such as "go", the speaker such as "84", and the session the chapter, such as "84-121123".

    Args:
        data_dir: Folder of the corpus; recordings and alignments may lie at any depth, so that
            both downloads may lie there side by side.
        words: Number of the most frequent words that are read, ties in alphabetical order; None:
            all words. The whole corpus has 9 million words.

    Returns:
        The corpus.

    Raises:
        CorpusError: The folder holds no recording or no alignment, an alignment cannot be read, or
            `words` is less than 1.
    """
    if words is not None and words < 1:
        raise CorpusError(f"{LAYOUT.name}: words: expected at least 1, found {words}")
    recordings = files.find(data_dir, LAYOUT)
    root, alignments = recordings.root, recordings.tables.values()
    recording_of = {match[1]: (path, match) for path, match in recordings.matches}
    frequent: set[str] | None = None
    if words is not None:
        counts = Counter(
            word
            for path in alignments
            for name, aligned in _read_alignment(root, path)
            if name in recording_of
            for word, _, _ in aligned
        )
        frequent = set(sorted(counts, key=lambda word: (-counts[word], word))[:words])
    utterances = []
    aligned_names: set[str] = set()
    without_recording: list[str] = []
    for alignment in alignments:
        for name, aligned in _read_alignment(root, alignment):
            if name not in recording_of:
                without_recording.append(name)
                continue
            aligned_names.add(name)
            path, match = recording_of[name]
            utterances += [
                Utterance(
                    path,
                    speaker=match[2],
                    text=word,
                    session=f"{match[2]}-{match[3]}",
                    start=start,
                    end=end,
                )
                for word, start, end in aligned
                if frequent is None or word in frequent
            ]
    if not utterances:
        raise CorpusError(
            f"{LAYOUT.name}: the alignments in {root} hold no word of one of its "
            f"{len(recording_of)} recordings; {LAYOUT.wanted}"
        )
    notes = list(recordings.notes)
    if without_recording:
        notes.append(
            f"{len(without_recording)} aligned utterances have no recording, such as "
            f"{without_recording[0]}"
        )
    if unaligned := sorted(recording_of.keys() - aligned_names):
        notes.append(f"{len(unaligned)} recordings have no alignment, such as {unaligned[0]}")
    return corpus_of_files("librispeech_words", utterances, root, notes)


def _read_alignment(
    root: Path, alignment: str
) -> Iterator[tuple[str, list[tuple[str, float, float]]]]:
    """Yields the name of each utterance and its words, each with its start and end in seconds.

    The table has the end of each word, and a word starts at the end of the previous one. An empty
    word is silence.
    """
    lines = files.read_lines(root / alignment, LAYOUT.name)
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        times = re.fullmatch(r"(\d+(\.\d+)?)(,\d+(\.\d+)?)*", match[3]) if match else None
        words = match[2].split(",") if match else []
        ends = [float(end) for end in times[0].split(",")] if times else []
        if match is None or not ends or len(words) != len(ends) or ends != sorted(ends):
            raise CorpusError(
                f"{LAYOUT.name}: {alignment}, line {number}: expected an utterance, words and the "
                f"same number of rising times, the latter two in quotes; found {line[:80]!r}"
            )
        timed = zip(words, [0.0, *ends[:-1]], ends, strict=True)
        yield match[1], [(w.lower(), start, end) for w, start, end in timed if w and end > start]
