"""Label sets: which emotions a task keeps, and what it calls them; always by name.

A map names the emotions behind each of its classes. Utterances of other emotions, or of none, are
dropped, and the corpus's notes count them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from serjax.data.corpora.files import Published
from serjax.data.corpus import Corpus, CorpusError
from serjax.errors import unknown_name


@dataclass(frozen=True)
class LabelMap:
    """What a label set is.

    Attributes:
        class_of: Class of each emotion that is kept.
        source: Where it comes from, and what in it is our choice.
    """

    class_of: Mapping[str, str]
    source: str


_FOUR = {emotion: emotion for emotion in ("anger", "happiness", "neutral", "sadness")}
_PADI = "S. Padi, S. O. Sadjadi, R. D. Sriram and D. Manocha, ICMI 2021, experiment"

MAPS: Mapping[str, LabelMap] = MappingProxyType(
    {
        "iemocap_exp1": LabelMap(_FOUR, f"{_PADI} 1: excitement is left out"),
        "iemocap_exp2": LabelMap(
            {**{e: e for e in _FOUR if e != "happiness"}, "excitement": "excitement"},
            f"{_PADI} 2: excitement in place of happiness",
        ),
        "iemocap_exp3": LabelMap(
            {**_FOUR, "excitement": "happiness"},
            f"{_PADI} 3: happiness and excitement are one class, happiness",
        ),
        "kapoor": LabelMap(
            {"anger": "anger", "frustration": "stress", "neutral": "neutral"},
            "S. Kapoor and T. Kumar, anger, stress and neutral on IEMOCAP. IEMOCAP has no stress "
            "and the paper does not say what stands for it; frustration does here, our choice",
        ),
        "tiwari": LabelMap(
            {emotion: emotion for emotion in (*_FOUR, "disgust", "fear", "surprise")},
            "R. Tiwari et al., table 1, the emotions of TESS, RAVDESS and SAVEE; RAVDESS's calm is "
            "not among them",
        ),
    }
)
"""The label sets by name."""


def names() -> tuple[str, ...]:
    """Returns the names of the label sets, sorted."""
    return tuple(sorted(MAPS))


def get(name: str) -> LabelMap:
    """Returns a label set.

    Raises:
        CorpusError: There is none of that name.
    """
    if name not in MAPS:
        raise CorpusError(unknown_name("label set", name, names()))
    return MAPS[name]


def apply(corpus: Corpus, name: str) -> Corpus:
    """Returns the part of a corpus that a label set keeps, with the set's classes as emotions.

    Args:
        corpus: Any corpus that has utterances of every class, not only the one that the set was
            made for.
        name: One of `names()`.

    Returns:
        The corpus, its notes counting what was dropped, by emotion.

    Raises:
        CorpusError: There is no such label set, or the corpus has no utterance of one of its
            classes.
    """
    class_of = get(name).class_of
    present = set(corpus.labels("emotion"))
    for label in sorted(set(class_of.values())):
        emotions = [emotion for emotion, meant in class_of.items() if meant == label]
        if present.isdisjoint(emotions):
            raise CorpusError(
                f"{corpus.name}: label set {name!r} needs utterances of {' or '.join(emotions)} "
                f"for its class {label!r}; the corpus has {_listed(present)}"
            )
    return _relabel(corpus, class_of, name)


def apply_to_published(published: Published, name: str) -> Published:
    """Returns what a corpus is published to hold of the classes of a label set.

    Raises:
        CorpusError: There is no such label set.
    """
    class_of = get(name).class_of
    counts: Counter[str] = Counter()
    for emotion, count in published.counts.items():
        if emotion in class_of:
            counts[class_of[emotion]] += count
    return replace(published, counts=counts, total=counts.total())


def common(first: Corpus, second: Corpus) -> tuple[Corpus, Corpus]:
    """Returns the parts of two corpora whose emotions both have.

    Raises:
        CorpusError: They have fewer than two emotions in common.
    """
    of_first, of_second = (set(corpus.labels("emotion")) for corpus in (first, second))
    shared = of_first & of_second
    if len(shared) < 2:
        raise CorpusError(
            f"expected at least 2 emotions common to {first.name} and {second.name}, found "
            f"{_listed(shared)}; {first.name} has {_listed(of_first)}, {second.name} has "
            f"{_listed(of_second)}"
        )
    kept = {emotion: emotion for emotion in shared}
    name = f"common to {first.name} and {second.name}"
    return _relabel(first, kept, name), _relabel(second, kept, name)


def _relabel(corpus: Corpus, class_of: Mapping[str, str], name: str) -> Corpus:
    utterances = []
    dropped: Counter[str] = Counter()
    for utterance in corpus.utterances:
        emotion = utterance.emotion
        if emotion is not None and emotion in class_of:
            utterances.append(replace(utterance, emotion=class_of[emotion]))
        else:
            dropped[emotion or "without emotion"] += 1
    counts = ", ".join(f"{count} {emotion}" for emotion, count in sorted(dropped.items()))
    note = f"labels {name}: kept {len(utterances)} of {len(corpus)} utterances"
    note = f"{note}, dropped {counts}" if dropped else note
    return replace(corpus, utterances=tuple(utterances), notes=(*corpus.notes, note))


def _listed(emotions: set[str]) -> str:
    return ", ".join(sorted(emotions)) or "no emotions"
