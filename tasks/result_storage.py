"""Prefect's results on S3, without a further package."""

from importlib.util import find_spec
from typing import Any

import fsspec
from obstore.fsspec import BufferedFile, FsspecStore


class S3FileSystem(FsspecStore):
    """S3 for fsspec, by which Prefect reads and writes results; the environment has the credentials."""

    protocol = "s3"

    def _open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> BufferedFile:
        """Open an object.

        Raises:
            FileNotFoundError: there is none. `BufferedFile` raises it too late: its half-made instance then fails in
                its destructor, which prints a traceback.
        """
        if mode == "rb":
            kwargs["size"] = self.info(path)["size"]
        return super()._open(path, mode, *args, **kwargs)


def register_s3() -> None:
    """Make fsspec use `S3FileSystem` for s3:// addresses, unless s3fs is installed."""
    if find_spec("s3fs") is None:
        fsspec.register_implementation("s3", S3FileSystem, clobber=True)
