"""Set up a process: environment, allocators and garbage collector, once, by its entry point; return freed memory.

Importing the library changes nothing of this kind. Without the set-up all results are the same; a process starts
slower, needs more memory and prints more of TensorFlow's start-up notes. Two allocators keep freed memory: Arrow's
own, and that of glibc, which gives each thread an arena and fragments all of them. With their defaults a process that
fetches images grows by 20 MB per thousand images.
"""

import atexit
import ctypes
import functools
import gc
import importlib.util
import os
import sys
import threading
import warnings
from pathlib import Path

COLLECT_AFTER = 50_000
"""Allocations between two runs of the garbage collector (Python's default: 700). The imports of a run allocate half a
million objects that stay."""


@functools.cache
def set_up_process() -> None:
    """Set what this process needs, before it imports Keras.

    A variable that the user has set keeps its value. Pillow's warnings are ignored: it warns of defects in files that
    it then reads, and raises an exception for files that it cannot read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only, except notes that precede its reading
    if importlib.util.find_spec("tensorflow") is None:  # as on GPU machines with JAX alone; Keras would fail
        os.environ.setdefault("KERAS_BACKEND", "jax")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit", category=RuntimeWarning)
    limit_allocators()
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)  # the interpreter's last collection would visit every object


M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of mallopt(3)
ARENAS = 1

LARGE = 4 << 20
"""Bytes from which a block gets pages of its own, which are returned with it. The pictures of a shard take 10 MB."""

WORTH_TRIMMING = 64 << 20
"""Freed bytes that are worth a trim of the heap, which takes a tenth of a second."""

MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25  # of madvise(2)
HUGE_PAGE = 2 << 20

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


def use_huge_pages() -> None:
    """Move this process's large blocks of memory to huge pages, where Linux offers them.

    A photo's answer reads some 50 MB of weights and vectors. After a pause the processor has to look up the address of
    each of their pages again, which takes longer than the work itself; huge pages are 512 times fewer. Kernels before
    6.1 move them in the background.
    """
    if _libc is None or not hasattr(_libc, "madvise"):
        return
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, _, _, inode, *name = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        is_data = permissions.startswith("rw") and inode == "0" and name in ([], ["[heap]"])
        if is_data and end - start >= HUGE_PAGE:
            for advice in (MADV_HUGEPAGE, MADV_COLLAPSE):  # refused for a block that has been freed meanwhile
                _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


_freed = 0
_counting = threading.Lock()
