"""The errors that a user can meet, each with a sentence made for reading.

A message says what happened, the value that caused it and what to do. Pages
and commands show it as it stands; anything else that is raised is a bug.
"""


class AgeGenderError(Exception):
    """Base of every error that the library raises on purpose."""


class DatasetError(AgeGenderError):
    """A dataset folder or archive cannot be used."""


class DownloadError(AgeGenderError):
    """A download failed from every source."""


class InvalidImageError(AgeGenderError):
    """A file or byte string is not a picture that can be read."""


class ModelNotFoundError(AgeGenderError):
    """Weights, a model or a run are missing."""


class InvalidModelError(AgeGenderError):
    """A weights or model file is damaged or of another architecture."""


class RunError(AgeGenderError):
    """A training run cannot be started, stopped, resumed or read."""


class StorageError(AgeGenderError):
    """Something could not be written (disk full, read-only file system)."""


class StoppedError(AgeGenderError):
    """Work was stopped on request before it was done; it can go on later."""
