"""The one place where Keras is imported: `from recsys.vision.backbones.quiet_keras import keras`.

It takes seconds, so only modules that build or run a model import this one. TensorFlow talks on stderr while
it starts, partly before it looks at TF_CPP_MIN_LOG_LEVEL; a user who sets that variable lower hears it all.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

ERRORS_ONLY = "3"
# Information and warnings as TensorFlow's C++ side writes them, `I0000 00:00:1795361609.720550 ...`.
STARTUP_NOTE = re.compile(rb"[IW]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog\(\)")


@contextmanager
def startup_notes_dropped() -> Iterator[None]:
    """Hold back what is written to stderr, by any thread, then pass on all but TensorFlow's notes."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not STARTUP_NOTE.match(line):
                    os.write(2, line)


# TensorFlow would ask the system for each large tensor anew; clearing those pages takes 40 % of a backbone's time.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")

# GPU machines often have JAX and no TensorFlow, which Keras would ask for.
if importlib.util.find_spec("tensorflow") is None:
    os.environ.setdefault("KERAS_BACKEND", "jax")

collected = gc.isenabled()
gc.disable()  # it would look through half a million new objects again and again: a third of the import's time
try:
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", ERRORS_ONLY) == ERRORS_ONLY:
        with startup_notes_dropped():
            import keras
    else:
        import keras
finally:
    if collected:
        gc.enable()
gc.freeze()  # they stay: looking through them takes a twentieth of a training

__all__ = ["keras"]
