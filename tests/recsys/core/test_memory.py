"""Memory: the set-up makes Arrow use the system's allocator, and importing the store changes no allocator."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SET_UP = "from recsys.core.process import set_up_process; set_up_process()\n"
SHOW_POOL = "import pyarrow; print(pyarrow.default_memory_pool().backend_name)\n"


def run(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    command = [sys.executable, "-c", code]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    return completed.stdout.strip()


@pytest.mark.parametrize("code", [SET_UP + SHOW_POOL, "import pyarrow\n" + SET_UP + SHOW_POOL], ids=["before", "after"])
def test_arrow_uses_the_systems_allocator_whether_it_is_imported_before_or_after_the_set_up(code: str) -> None:
    assert run(code) == "system"


def test_importing_the_store_changes_no_allocator() -> None:
    assert run("import recsys.storage.store\n" + SHOW_POOL) == run(SHOW_POOL) != "system"
