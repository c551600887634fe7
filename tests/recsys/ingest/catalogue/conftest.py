"""Files that are read as catalogues."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from recsys.core.configuration import load
from recsys.ingest.catalogue.reading import Reading, read_catalogue


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Write text or bytes to a file and read it as a catalogue."""

    def read(content: str | bytes, name: str = "catalogue.csv", **catalogue: Any) -> Reading:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_catalogue(str(path), load(None, {"catalogue": catalogue}, environ={}), tmp_path / "scratch")

    return read


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip file with these members."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()
