"""The bundled synthetic corpus: a source-filter speech synthesizer and the corpus made by it."""

from serjax.data.synthetic.corpus import EMOTIONS, load

__all__ = ["EMOTIONS", "load"]
