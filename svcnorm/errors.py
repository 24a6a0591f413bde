"""Errors that users meet. Each message says where, what was found, what was expected, and what to do."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class SvcnormError(Exception):
    """Base of every error that svcnorm raises on purpose. The command line prints it and exits with 2."""


class LabelError(SvcnormError, ValueError):
    """A label name that does not exist."""


class DataError(SvcnormError, ValueError):
    """A text, call or data file that cannot be used; names the file and line where there is one."""


class NormError(SvcnormError, ValueError):
    """A norm file with problems: all of them, one a line, each as `path:line: …`."""


class BundleError(SvcnormError):
    """A model folder that is missing, damaged, or made for another label set."""


class MissingExtraError(SvcnormError, ImportError):
    """A package of an optional extra is not installed."""


def optional(module: str, what: str) -> ModuleType:
    """A module of an optional extra. Raises `MissingExtraError(what)`, which says what needs it and how to install it, if it is not there."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(what) from None
