"""The tree of all errors.

    RecsysError                     an error that the user can fix, with the exit code of the command
    ├── ConfigurationError      3   an unknown key, a value that is not valid
    ├── CatalogueError          4   a file that is missing, empty, unreadable, or lacks a column
    ├── HomeError               5   the home is read-only, full, busy, or made by a newer version
    ├── UnknownProductError     6   an id that the catalogue does not list, or that has no picture
    ├── PhotoError              7   a photo that cannot be decoded or is not an image
    ├── WeightsError            8   the backbone's weights are not available
    ├── ServerError             9   Prefect, MLflow or the sample shop's host did not start
    ├── NoImagesError          10   no product of the catalogue has a usable image
    ├── PendingImagesError     11   some images are pending; another run fetches only those
    ├── ExportError            12   the recommendations cannot be written to that path
    ├── ScrapingError          13   some keywords failed; another run searches only for those
    ├── TrainingError          14   a training cannot start or has failed
    ├── ReviewError            15   a file of answers is not valid
    ├── ModelError             16   a model cannot serve: it does not exist, or the gate refuses it
    ├── CatalogueChangeError   17   a catalogue would remove, rename or merge too many products
    └── FetchError                  one attempt at one URL failed; internal to fetching
        ├── PermanentFetchError     will fail again: 404, not an image, truncated, ...
        └── TransientFetchError     may succeed later: time-out, reset, 429, 5xx

Exit code 0 is success, 1 a bug of this program, 2 a wrong command line. A message is one line, names the file, row, key
or URL, and gives the remedy.
"""

from typing import Any


class RecsysError(Exception):
    """An error that the user can understand and fix."""

    exit_code = 1


class ConfigurationError(RecsysError):
    """A configuration key is unknown, or its value is not valid."""

    exit_code = 3


class CatalogueError(RecsysError):
    """The catalogue cannot be read, or too little of it is valid."""

    exit_code = 4


class CatalogueChangeError(CatalogueError):
    """The catalogue would remove, rename or merge too many products; nothing was written."""

    exit_code = 17


class HomeError(RecsysError):
    """The home folder cannot be used."""

    exit_code = 5


class UnknownProductError(RecsysError):
    """The product is not in the catalogue, or has no picture."""

    exit_code = 6


class PhotoError(RecsysError):
    """A photo cannot be decoded, or exceeds a safety limit."""

    exit_code = 7


class WeightsError(RecsysError):
    """The weights of a backbone are not available."""

    exit_code = 8


class ServerError(RecsysError):
    """A server that this program needs did not start or does not answer."""

    exit_code = 9


class NoImagesError(RecsysError):
    """No product of the catalogue has a usable image."""

    exit_code = 10


class PendingImagesError(RecsysError):
    """Some images are pending; fetched images are kept.

    Attributes:
        counts: number of images of the shard by outcome, if the error is about one shard.
    """

    exit_code = 11

    def __init__(self, message: str, counts: Any = None) -> None:
        super().__init__(message)
        self.counts = counts


class ExportError(RecsysError):
    """The recommendations cannot be written to the requested path."""

    exit_code = 12


class ScrapingError(RecsysError):
    """Some searches failed; pictures of the other keywords are kept."""

    exit_code = 13


class TrainingError(RecsysError):
    """A training cannot start, or has failed; its last checkpoint is kept."""

    exit_code = 14


class CollapsedTrainingError(TrainingError):
    """A training learns nothing from its examples."""


class ReviewError(RecsysError):
    """A file of answers is not valid; nothing of it was saved."""

    exit_code = 15


class ModelError(RecsysError):
    """A model cannot serve; the current one continues to serve."""

    exit_code = 16


class FetchError(RecsysError):
    """One attempt at one image URL failed.

    Attributes:
        cause: its name in the table `images`, such as `http_404`, `timeout` or `truncated`.
        http_code: the HTTP status; None without an answer.
        retry_after: the host's Retry-After, seconds; None without one.
    """

    def __init__(
        self, cause: str, message: str, http_code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.http_code = http_code
        self.retry_after = retry_after


class PermanentFetchError(FetchError):
    """The same request would fail again."""


class TransientFetchError(FetchError):
    """The same request may succeed later."""
