"""Set up a process: environment, allocators and garbage collector, once, by its entry point.

Importing the library changes nothing of this kind. Without the set-up all results are the same; a process starts
slower, needs more memory and prints more of TensorFlow's start-up notes.
"""

import atexit
import functools
import gc
import importlib.util
import os
import warnings

from recsys.core.memory import limit_allocators

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
