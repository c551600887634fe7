"""The command line `recsys`: starts the servers that a command needs, runs flows, prints results."""

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

STOPPED_BY_CTRL_C = 130
"""Exit code after Ctrl-C or SIGTERM, by the convention of shells: 128 + the number of SIGINT."""


def main() -> None:
    """Run the command line; every failure prints one line to standard error and ends with a documented exit code."""
    set_up_process()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop counts as Ctrl-C
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command and return its exit code; print a failure as one line."""
    from cli.app import app
    from cli.options import Invocation

    invocation = Invocation()
    try:
        outcome = app(args=arguments, standalone_mode=False, obj=invocation)
        return outcome if isinstance(outcome, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped; everything committed so far is kept: run again to continue", STOPPED_BY_CTRL_C)
    except typer.TyperException as error:
        message = str(error.format_message() if hasattr(error, "format_message") else error)
        code = getattr(error, "exit_code", 2)
        return _fail(f"{message} (see 'recsys --help')", code) if message else code
    except Exception as error:
        known = _known_error(error, invocation.home)
        return _fail(str(known), known.exit_code) if known else _fail(_defect(error), 1)


def _known_error(error: Exception, home: Path) -> RecsysError | None:
    """Return the documented error behind an exception; a full disk explains any failure of a server."""
    if isinstance(error, RecsysError) and not isinstance(error, ServerError):
        return error
    return _full_disk(home) or (error if isinstance(error, ServerError) else None)


def _full_disk(home: Path) -> HomeError | None:
    """Return the error of a full disk if the home's disk has less than 1 MiB free."""
    from recsys.storage.home import home_error

    with contextlib.suppress(OSError):
        if shutil.disk_usage(home).free < 1 << 20:
            return home_error(home, OSError(errno.ENOSPC, "No space left on device"))
    return None


def _defect(error: Exception) -> str:
    """Write the traceback to a file, and return the message that names the file."""
    with tempfile.NamedTemporaryFile("w", prefix="recsys-error-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return (
        f"unexpected {type(error).__name__}: {str(error)[:200]}; this is a defect of recsys: "
        f"please report it and attach {file.name}"
    )


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
