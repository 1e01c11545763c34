"""The table of corpora: a loader for each name, and the counts that its authors publish."""

import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from serjax.data.corpus import COLUMNS, Corpus, CorpusError
from serjax.errors import unknown_name

Loader = Callable[..., Corpus]
"""`load(data_dir, **options)`; a generated corpus takes no `data_dir`."""

LoaderT = TypeVar("LoaderT", bound=Loader)


@dataclass(frozen=True)
class Published:
    """The counts that the authors of a corpus publish.

    Attributes:
        counts: Number of recordings of each class; empty if unpublished.
        speakers: Number of speakers; None if unpublished.
        total: Number of recordings, including those without a class; None if unpublished.
        column: Column of the corpus that holds the classes.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    speakers: int | None = None
    total: int | None = None
    column: str = "emotion"


LOADERS: dict[str, Loader] = {}
"""The loaders by the name of their corpus."""

RESTRICTED: set[str] = set()
"""Names of the corpora whose licences forbid to share recordings."""

PUBLISHED: dict[str, Published] = {}
"""The published counts by the name of their corpus; corpora without published counts are absent."""


def register(
    name: str,
    *,
    counts: Mapping[str, int] | None = None,
    speakers: int | None = None,
    total: int | None = None,
    column: str = "emotion",
    takes_data_dir: bool = True,
    shareable: bool = True,
) -> Callable[[LoaderT], LoaderT]:
    """Registers the function that it decorates as the loader of a corpus.

    Every command and function then knows the corpus by its name. The parameters of the loader
    other than `data_dir` are the options of the corpus. `data_dir` is passed as a `Path`.

    Example::

        from pathlib import Path
        from serjax import data

        @data.register("two_voices", speakers=2, counts={"anger": 50, "neutral": 50})
        def load(data_dir: Path, suffix: str = ".wav") -> data.Corpus:
            utterances = []
            for path in data_dir.glob(f"*{suffix}"):
                speaker, emotion, _ = path.stem.split("_")
                utterances.append(data.Utterance(path.name, emotion=emotion, speaker=speaker))
            return data.corpus_of_files("two_voices", utterances, data_dir)

    Args:
        name: Name of the corpus, which its loader gives to the `Corpus` too.
        counts: Published number of recordings of each class.
        speakers: Published number of speakers.
        total: Published number of recordings; None: the sum of `counts`.
        column: Column of the corpus that holds the classes of `counts`.
        takes_data_dir: True if the corpus is read from a folder or a file; False if it is
            generated.
        shareable: False if the licence of the corpus forbids to share its recordings: then report
            pages, which are made to be shared, hold none unless `--audio` is typed.

    Returns:
        A decorator that returns the loader unchanged.

    Raises:
        CorpusError: The name is empty or registered already, the column does not exist, or the
            loader's parameters cannot be passed by name or do not include `data_dir`.
    """
    if not name:
        raise CorpusError("register: expected the name of a corpus, found none")
    if column not in COLUMNS:
        raise CorpusError(unknown_name(f"column of {name}", column, COLUMNS))

    def decorate(loader: LoaderT) -> LoaderT:
        if name in LOADERS:
            raise CorpusError(
                f"register {name}: expected a new name, found that of {_described(LOADERS[name])}"
            )
        _check_parameters(name, loader, takes_data_dir)
        LOADERS[name] = loader
        if not shareable:
            RESTRICTED.add(name)
        if counts or speakers is not None or total is not None:
            sum_of_counts = sum(counts.values()) if counts else None
            PUBLISHED[name] = Published(
                dict(counts or {}), speakers, sum_of_counts if total is None else total, column
            )
        return loader

    return decorate


def names() -> tuple[str, ...]:
    """Returns the names of the corpora, sorted."""
    return tuple(sorted(LOADERS))


def names_with_data_dir() -> tuple[str, ...]:
    """Returns the names of the corpora that are read from a folder or a file, sorted."""
    return tuple(name for name in names() if "data_dir" in _parameters(LOADERS[name]))


def load(name: str, data_dir: str | Path | None = None, **options: object) -> Corpus:
    """Reads the table of a corpus. No recording is opened.

    >>> from serjax import data
    >>> len(data.load("synthetic", speakers=3, words=2))
    24

    Args:
        name: One of `names()`.
        data_dir: Folder of the corpus, or CSV file; None for a generated corpus.
        **options: Options of the corpus, described at its loader.

    Returns:
        The corpus.

    Raises:
        CorpusError: The name or an option is unknown, or the folder does not hold the corpus.
    """
    if name not in LOADERS:
        raise CorpusError(unknown_name("dataset", name, names()))
    loader = LOADERS[name]
    parameters = _parameters(loader)
    if data_dir is not None and "data_dir" not in parameters:
        raise CorpusError(f"{name} takes no data directory; found {data_dir}")
    for option in options:
        if option not in parameters:
            known = [parameter for parameter in parameters if parameter != "data_dir"]
            raise CorpusError(unknown_name(f"option of {name}", option, known))
    _check_types(name, loader, options)
    arguments = dict(options)
    if data_dir is not None:
        arguments["data_dir"] = Path(os.path.expanduser(data_dir))
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in arguments:
            if parameter.name == "data_dir":
                raise CorpusError(f"{name}: no data directory given; expected the corpus's folder")
            raise CorpusError(f"{name}: expected the option {parameter.name}, found none")
    corpus = loader(**arguments)
    if not isinstance(corpus, Corpus):
        raise CorpusError(
            f"{name}: expected the loader {_described(loader)} to return a Corpus, found "
            f"{type(corpus).__name__}"
        )
    return corpus


_TYPES: dict[type, tuple[str, type]] = {
    int: ("a whole number", numbers.Integral),
    float: ("a number", numbers.Real),
    str: ("a word", str),
    NoneType: ("None", NoneType),
}


def _check_types(name: str, loader: Loader, options: Mapping[str, object]) -> None:
    """Raises CorpusError for the value of an option that has another type than its annotation."""
    try:
        hints = get_type_hints(loader)
    except NameError:  # an annotation that is imported for type checkers only
        return
    for option, value in options.items():
        hint = hints.get(option)
        alternatives: Iterable[object] = (
            get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
        )
        allowed = [
            _TYPES[kind] for kind in alternatives if isinstance(kind, type) and kind in _TYPES
        ]
        if allowed and not isinstance(value, tuple(kind for _, kind in allowed)):
            expected = " or ".join(words for words, _ in allowed)
            raise CorpusError(f"{name}, option {option}: expected {expected}, found {value!r}")


def _check_parameters(name: str, loader: Loader, takes_data_dir: bool) -> None:
    """Raises CorpusError for a loader that `load` could not call."""
    if not callable(loader):
        raise CorpusError(f"register {name}: expected a function, found {loader!r}")
    parameters = _parameters(loader)
    signature = f"{_described(loader)}({', '.join(map(str, parameters.values()))})"
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    for parameter in parameters.values():
        if parameter.kind not in by_name:
            raise CorpusError(
                f"register {name}: expected parameters that are passed by name, found "
                f"{parameter} in {signature}"
            )
    if takes_data_dir and "data_dir" not in parameters:
        raise CorpusError(
            f"register {name}: expected a function with the parameter data_dir, or "
            f"takes_data_dir=False; found {signature}"
        )
    if not takes_data_dir and "data_dir" in parameters:
        raise CorpusError(
            f"register {name}: expected a function without the parameter data_dir with "
            f"takes_data_dir=False; found {signature}"
        )


def _parameters(loader: Loader) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(loader).parameters


def _described(loader: Loader) -> str:
    """Returns the module and the name of a loader."""
    return f"{loader.__module__}.{getattr(loader, '__qualname__', type(loader).__name__)}"
