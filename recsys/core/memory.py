"""Keep the memory of a long run with many threads level.

Two allocators keep freed memory: Arrow's own, and that of glibc, which gives each thread an arena and fragments all of
them. With their defaults a process that fetches images grows by 20 MB per thousand images.
"""

import ctypes
import os
import sys
import threading

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of mallopt(3)
ARENAS = 1

LARGE = 4 << 20
"""Bytes from which a block gets pages of its own, which are returned with it. The pictures of a shard take 10 MB."""

WORTH_TRIMMING = 64 << 20
"""Freed bytes that are worth a trim of the heap, which takes a tenth of a second."""

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def limit_allocators() -> None:
    """Make Arrow use the system's allocator, and glibc one arena; without glibc only the former."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read when pyarrow is imported
    if (pyarrow := sys.modules.get("pyarrow")) is not None:
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    if _libc is not None and hasattr(_libc, "mallopt"):
        _libc.mallopt(M_ARENA_MAX, ARENAS)
        _libc.mallopt(M_MMAP_THRESHOLD, LARGE)


def return_freed_memory(freed: int = WORTH_TRIMMING) -> None:
    """Return freed memory to the system, once enough has been freed since the last time.

    Args:
        freed: bytes that the caller has freed (default: enough for a trim).
    """
    global _freed
    with _counting:
        _freed += freed
        if _freed < WORTH_TRIMMING:
            return
        _freed = 0
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


_freed = 0
_counting = threading.Lock()
