"""The command line: the room above the flows, where a person's words become a run or a question."""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import typer

from recsys.core.errors import HomeError, RecsysError, ServerError
from recsys.core.process import set_up_process


def main() -> None:
    """Run the command line; every failure is one line on standard error and a documented exit code."""
    set_up_process()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop is a Ctrl-C
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    from cli.app import app
    from cli.options import current_home

    try:
        outcome = app(args=arguments, standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped; what was committed is kept, and running again goes on from there", 130)
    except typer.TyperException as error:
        message = str(error.format_message() if hasattr(error, "format_message") else error)
        code = getattr(error, "exit_code", 2)
        return _fail(f"{message} (see 'recsys --help')", code) if message else code
    except Exception as error:
        known = isinstance(error, RecsysError) and not isinstance(error, ServerError)
        told = error if known else _full_disk(current_home()) or error
        return _fail(str(told), told.exit_code) if isinstance(told, RecsysError) else _fail(_bug(error), 1)


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _full_disk(home: Path) -> HomeError | None:
    """Return what to say where the home's disk is full: then any server on it may fail in any way."""
    from recsys.storage.store import home_error

    with contextlib.suppress(OSError):
        if shutil.disk_usage(home).free < 1 << 20:
            return home_error(home, OSError(errno.ENOSPC, "No space left on device"))
    return None


def _bug(error: Exception) -> str:
    """Keep the traceback in a file, and return the line that names it."""
    with tempfile.NamedTemporaryFile("w", prefix="recsys-error-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return f"unexpected {type(error).__name__}: {str(error)[:200]}; this is a defect: please report it with {file.name}"
