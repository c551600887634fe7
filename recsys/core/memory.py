"""A long run of many threads in the memory that it needs.

Two allocators keep what they were once given: Arrow's own, and that of glibc, which gives each thread an arena and
fragments them all; once a large block has been freed it also takes the next ones from there, between small ones that
stay. Left alone, a fetching process grew by 20 MB a thousand images; like this it stays level.
"""

from __future__ import annotations

import ctypes
import sys
import threading

import pyarrow as pa

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of mallopt(3)
ARENAS = 1

LARGE = 4 << 20
"""Bytes from which a block has pages of its own, which are given back with it; a shard's pictures have some 10 MB."""

ENOUGH = 64 << 20
"""Bytes that are worth giving back."""

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def economise() -> None:
    """Have this process give freed memory back; does nothing twice, and nothing where there is no glibc."""
    pa.set_memory_pool(pa.system_memory_pool())
    if _libc is not None and hasattr(_libc, "mallopt"):
        _libc.mallopt(M_ARENA_MAX, ARENAS)
        _libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def give_back(freed: int = ENOUGH) -> None:
    """Give memory back that was freed in between: it takes a tenth of a second, so only when enough has come together.

    Args:
        freed: bytes that the caller has let go of (default: enough).
    """
    global _freed
    with _counting:
        _freed += freed
        if _freed < ENOUGH:
            return
        _freed = 0
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


_freed = 0
_counting = threading.Lock()
