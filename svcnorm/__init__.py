"""svcnorm labels what call-centre agents say in Chinese, sentence by sentence, and judges it by an organisation's service norm."""

from svcnorm.classifier import Classifier
from svcnorm.errors import BundleError, DataError, LabelError, NormError, SvcnormError
from svcnorm.labels import LABELS, Group, Label
from svcnorm.norms import Norm
from svcnorm.results import Evidence, Finding, Prediction, Sentence, Span

__version__ = "0.1.0"

__all__ = [
    "LABELS",
    "BundleError",
    "Classifier",
    "DataError",
    "Evidence",
    "Finding",
    "Group",
    "Label",
    "LabelError",
    "Norm",
    "NormError",
    "Prediction",
    "Sentence",
    "Span",
    "SvcnormError",
]
