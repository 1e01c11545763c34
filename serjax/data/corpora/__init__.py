"""The corpora by name, one file each."""

from collections.abc import Callable

from serjax.data import synthetic
from serjax.data.corpora import emodb, fsdd, ravdess
from serjax.data.corpus import Corpus

LOADERS: dict[str, Callable[..., Corpus]] = {
    "emodb": emodb.load,
    "fsdd": fsdd.load,
    "ravdess": ravdess.load,
    "synthetic": synthetic.load,
}
"""`loader(data_dir, **options)`; a corpus that is generated takes no `data_dir`."""
