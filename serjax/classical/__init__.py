"""Classical baselines: KNN, LDA, SVM and RDA on statistics of MFCC and of the spectrum."""

from serjax.classical.classifiers import Classifier, choose, names
from serjax.classical.descriptors import FRONT_END, describe, descriptors
from serjax.classical.rda import RegularizedDiscriminantAnalysis

__all__ = [
    "FRONT_END",
    "Classifier",
    "RegularizedDiscriminantAnalysis",
    "choose",
    "describe",
    "descriptors",
    "names",
]
