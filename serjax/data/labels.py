"""Label sets: the emotions of a task and their classes, always by name.

A label map assigns a class to each of its emotions. Utterances of other emotions, or without an
emotion, are dropped, and the notes of the corpus count them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from serjax.data.corpus import Corpus, CorpusError
from serjax.data.registry import Published
from serjax.errors import unknown_name


@dataclass(frozen=True)
class LabelMap:
    """A label set.

    Attributes:
        class_of: Class of each emotion; other emotions are dropped.
        source: The paper that defines it, and the choices made by us.
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
            "and the paper does not define it; it is frustration here, chosen by us",
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

    Args:
        name: One of `names()`.

    Raises:
        CorpusError: The label set does not exist.
    """
    if name not in MAPS:
        raise CorpusError(unknown_name("label set", name, names()))
    return MAPS[name]


def apply(corpus: Corpus, name: str) -> Corpus:
    """Selects the utterances of a label set and replaces their emotions by its classes.

    Args:
        corpus: Any corpus with utterances of every class.
        name: One of `names()`.

    Returns:
        The selected utterances. The notes count the dropped ones by emotion.

    Raises:
        CorpusError: The label set does not exist, or the corpus has no utterance of one of its
            classes.
    """
    class_of = get(name).class_of
    present = set(corpus.labels("emotion"))
    for label in sorted(set(class_of.values())):
        emotions = [emotion for emotion, class_ in class_of.items() if class_ == label]
        if present.isdisjoint(emotions):
            raise CorpusError(
                f"{corpus.name}: label set {name!r} needs utterances of {' or '.join(emotions)} "
                f"for its class {label!r}; the corpus has "
                f"{', '.join(sorted(present)) or 'no emotions'}"
            )
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


def apply_to_published(published: Published, name: str) -> Published:
    """Returns the published counts of the classes of a label set.

    Args:
        published: Published counts of a corpus.
        name: One of `names()`.

    Raises:
        CorpusError: The label set does not exist.
    """
    class_of = get(name).class_of
    counts: Counter[str] = Counter()
    for emotion, count in published.counts.items():
        if emotion in class_of:
            counts[class_of[emotion]] += count
    return replace(published, counts=counts, total=counts.total())
