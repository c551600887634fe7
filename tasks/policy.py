"""How tasks are retried and cached.

Retried is what may pass: images that are pending, a marketplace that is busy or asks for a robot check, and errors
that nobody foresaw. What the user must mend (a missing file, weights that cannot be had, a full disk) fails at once.

Cached is by what the work depends on: the store, the shard's digest, the configuration and the code of `recsys`.
Prefect's own policies would not do: the default one includes the flow run, and the source of a thin task does not
change with the code that it calls.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from obstore.fsspec import BufferedFile, register
from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

import recsys
from recsys.core.configuration import Configuration
from recsys.core.errors import PendingImagesError, RecsysError, TransientFetchError
from recsys.storage.store import Store, digest

if find_spec("s3fs") is None:
    register("s3")  # so that Prefect can keep results there too, where its settings say so
    BufferedFile._reader = BytesIO()  # of a file that is not there, which it would complain of having to close


@functools.cache
def code_version() -> str:
    """Return the digest of the library's source code."""
    sources = sorted(Path(recsys.__file__).parent.rglob("*.py"))
    return digest([recsys.__version__, *(source.read_text(encoding="utf-8") for source in sources)])


def may_pass(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task is worth another try."""
    try:
        state.result()
    except (PendingImagesError, TransientFetchError):
        return True
    except RecsysError:
        return False
    except Exception:
        return True
    return False


def cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the key of a task's result: the task's name, and a digest of it, the store, the code, and what the task
    was given.

    Of the configuration counts what can change a result.
    """
    given = {name: value for name, value in sorted(parameters.items()) if name != "home"}
    if isinstance(configuration := given.get("configuration"), Configuration):
        given["configuration"] = configuration.of_results()
    store = Store(parameters["home"], read_only=True)
    told = digest([context.task.name, store.id, code_version(), *(repr(value) for value in given.values())])
    return f"{context.task.name}-{told}"  # the file name, which `recsys.lifecycle.retention` reads


def patiently(work: Task[..., Any], configuration: Configuration) -> Task[..., Any]:
    """Return a task with the retries of `workflow`, the delay doubling before each."""
    settings = configuration.workflow
    delays = [settings.retry_delay_s * 2**attempt for attempt in range(settings.retries)]
    return work.with_options(retries=settings.retries, retry_delay_seconds=delays)


KEPT: dict[str, Any] = {"cache_key_fn": cache_key, "persist_result": True, "retry_condition_fn": may_pass}
"""Options of a task whose result is kept until what it depends on changes."""

SHARD: dict[str, Any] = {"task_run_name": "{shard}", **KEPT}
"""Options of a task that works on one shard."""

FRESH: dict[str, Any] = {"cache_policy": None, "persist_result": False, "retry_condition_fn": may_pass}
"""Options of a task that looks at the world or the store anew each time."""
