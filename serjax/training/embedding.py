"""How the embedding of a network that stands behind one starts, and what its encoder has heard."""

from collections.abc import Mapping
from typing import Any

from serjax.data import CorpusError
from serjax.data.storage import store

EMBEDDINGS = ("random", "pretrained")
"""How an embedding may start."""

ENCODER_CORPUS = "emodb"
"""On which the encoder that ships was trained, see `serjax/pretrained/rhemo_encoder.md`."""


def heard_by_encoder(dataset: str | None, folder: str | None, options: Mapping[str, Any]) -> bool:
    """Whether a corpus is the one on which the encoder that ships was trained.

    It is known by the name of its loader, by itself or joined with others, or by the name under
    which it was stored. The same recordings in a `folder` or `csv` are not known.

    Args:
        dataset: Name of the loader.
        folder: Where the corpus lies.
        options: Of the loader.
    """
    return ENCODER_CORPUS in (dataset, *_joined(options), _stored(dataset, folder))


def _joined(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The corpora that are joined, if they are; what else stands there is told of when read."""
    corpora = options.get("corpora")
    return tuple(corpora) if isinstance(corpora, Mapping) else ()


def _stored(dataset: str | None, folder: str | None) -> str | None:
    """The corpus that a stored one is of; None: it is no stored one, or none that can be read."""
    if dataset != "tfds":
        return None
    try:
        return str(store.metadata(store.dataset_folder(folder))["corpus"])
    except CorpusError:  # told of where the corpus is read
        return None
