"""Setting up a process: what the set-up changes, and that importing the library changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recsys.core import process

pytestmark = pytest.mark.slow

EARLY_NOTE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog\(\)|I0000 .* (oneDNN custom operations|Could not find cuda)"
)
"""Notes that TensorFlow writes before it reads TF_CPP_MIN_LOG_LEVEL. No public setting drops them."""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process whose environment has no setting of TensorFlow's or Keras's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Undo after the test what the set-up does to the environment and the garbage collector."""
    monkeypatch.setattr(process.gc, "set_threshold", lambda *_: None)
    monkeypatch.setattr(process.atexit, "register", lambda *_: None)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_a_variable_that_the_user_has_set_keeps_its_value(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    process.set_up_process.__wrapped__()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize(("spec", "backend"), [(None, "jax"), (object(), None)])
def test_keras_uses_jax_only_where_tensorflow_is_not_installed(
    environment: pytest.MonkeyPatch, spec: object, backend: str | None
) -> None:
    environment.setattr(process.importlib.util, "find_spec", lambda name: spec if name == "tensorflow" else None)
    process.set_up_process.__wrapped__()
    assert os.environ.get("KERAS_BACKEND") == backend


def test_after_the_set_up_importing_keras_writes_only_early_notes_on_stderr() -> None:
    completed = python("from recsys.core.process import set_up_process; set_up_process(); import keras")
    assert [line for line in completed.stderr.splitlines() if not EARLY_NOTE.match(line)] == []


def test_after_the_set_up_pillow_warns_of_no_picture() -> None:
    completed = python(
        "from recsys.core.process import set_up_process; set_up_process()\n"
        "import io; from PIL import Image; from recsys.vision.image_decoding import decode\n"
        "file = io.BytesIO(); Image.new('1', (90, 90)).save(file, 'PNG')\n"
        "decode(file.getvalue(), 8_100, 256); Image.MAX_IMAGE_PIXELS = 8_000; Image.open(file)\n"
    )
    assert completed.stderr == ""


def test_importing_the_networks_changes_neither_environment_nor_garbage_collector() -> None:
    completed = python(
        "import gc, os, keras\n"
        "before = dict(os.environ), gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()\n"
        "import recsys.vision.training_loop, recsys.vision.backbones.efficientnet_lite\n"
        "print((dict(os.environ), gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()) == before)\n"
    )
    assert completed.stdout == "True\n"


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="no huge pages")
def test_large_blocks_move_to_huge_pages_with_their_content() -> None:
    completed = python(
        "import re; from pathlib import Path; from recsys.core.process import use_huge_pages\n"
        "block = bytearray(b'abcdefgh') * (8 << 20)\n"
        "use_huge_pages()\n"
        "assert block == bytearray(b'abcdefgh') * (8 << 20)\n"
        "advised = re.findall(r'^VmFlags:.* hg', Path('/proc/self/smaps').read_text(), re.MULTILINE)\n"
        "print(len(advised) > 0)\n"
    )
    assert completed.stdout == "True\n"


def test_without_linux_huge_pages_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_libc", None)
    process.use_huge_pages()
