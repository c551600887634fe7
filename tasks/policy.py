"""Retry and cache policies of the tasks.

Retries: a failure that may pass is tried again: pending images, a marketplace that is busy or asks for a captcha, and
unexpected errors. A failure that the user has to fix (a missing file, a full disk) is final at once.

Caching: the key of a result has what the work depends on: the store, the arguments, the configuration and the code.
Prefect's own cache policies do not fit: the default one includes the flow run, and the source of a task does not change
with the library code that it calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import PendingImagesError, RecsysError, TransientFetchError
from recsys.storage.store import Store
from tasks.code_digest import code_digest


def is_retryable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    """Return whether another attempt of a failed task may succeed."""
    try:
        state.result()
    except (PendingImagesError, TransientFetchError):
        return True
    except RecsysError:
        return False
    except Exception:
        return True
    return False


def with_retries(task: Task[..., Any], configuration: Configuration) -> Task[..., Any]:
    """Return a task with the retries of the section `workflow`; the delay doubles before each."""
    settings = configuration.workflow
    delays = [settings.retry_delay_s * 2**attempt for attempt in range(settings.retries)]
    return task.with_options(retries=settings.retries, retry_delay_seconds=delays)


@dataclass(frozen=True)
class CacheKey:
    """Compute the key of a task's result.

    Attributes:
        functions: of the library, that the task calls.
    """

    functions: tuple[Callable[..., Any], ...]

    def __call__(self, context: TaskRunContext, parameters: dict[str, Any]) -> str:
        """Return the task's name and a digest of the store, the code, the configuration and the other arguments.

        Settings that cannot change a result are left out. The key becomes a file name, which
        `recsys.lifecycle.retention` parses.
        """
        arguments = {name: value for name, value in sorted(parameters.items()) if name != "home"}
        if isinstance(configuration := arguments.get("configuration"), Configuration):
            arguments["configuration"] = configuration.of_results()
        store = Store(parameters["home"], read_only=True)
        code = code_digest(self.functions)
        return f"{context.task.name}-{digest([context.task.name, store.id, code, *map(repr, arguments.values())])}"


def cached(*functions: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a task whose result is kept until its arguments or the code of its functions change."""
    return {"cache_key_fn": CacheKey(functions), "persist_result": True, "retry_condition_fn": is_retryable}


def cached_shard(*functions: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a cached task that works on one shard."""
    return {"task_run_name": "{shard}", **cached(*functions)}


UNCACHED: dict[str, Any] = {"cache_policy": None, "persist_result": False, "retry_condition_fn": is_retryable}
"""Options of a task that runs each time, because it reads the catalogue or the store."""
