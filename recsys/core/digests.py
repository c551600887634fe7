"""Digests: short names of contents, for keys and versions."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def digest(parts: Iterable[Any]) -> str:
    """Return 32 hex digits that stand for the parts in their order (BLAKE2b-128 over their JSON)."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part.encode() if isinstance(part, str) else json.dumps(part, default=str).encode())
        hasher.update(b"\x1f")
    return hasher.hexdigest()
