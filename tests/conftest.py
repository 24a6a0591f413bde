import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # scripts/ and training/ are not installed

from svcnorm import Classifier


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """The shipped bundle with the base norm."""
    return Classifier.load()
