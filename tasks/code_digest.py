"""The digest of the library code that a task's result depends on.

A result is recomputed if its code changes, so its cache key has the digest of that code: the module of the library
function that the task calls, and all modules of the library that it imports, directly or through others. Imports are
found in the source text, also those inside functions; nothing is imported.
"""

import ast
import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import recsys
from recsys.core.digests import digest

LIBRARY = Path(recsys.__file__).parent

FIRST_PARTY_IMPORT = re.compile(r"^[ \t]*((?:from|import) recsys\b[^\n(]*(?:\([^)]*\))?)", re.MULTILINE)
"""An import statement of the library; to parse these alone is thirty times as fast as to parse whole files."""

TEMPLATES = ("*.css", "*.j2", "*.js")
"""Files beside a module that it renders."""


def code_digest(functions: Iterable[Callable[..., Any]], library: Path = LIBRARY) -> str:
    """Return the digest of the code that some functions of the library depend on.

    Args:
        functions: of the library.
        library: the folder `recsys`, such as a changed copy of it.
    """
    files = sorted({file for function in functions for file in dependencies(function.__module__, library)})
    return digest([_file_digest(file) for file in files])


@functools.cache
def dependencies(module: str, library: Path) -> frozenset[Path]:
    """Return the file of a module, the files of all modules that it depends on, and their templates."""
    files: set[Path] = set()
    pending = set(_files(module, library))
    while pending:
        file = pending.pop()
        files.add(file)
        pending |= {found for name in _imports(file, library) for found in _files(name, library)} - files
    return frozenset(files) | {template for file in files for kind in TEMPLATES for template in file.parent.glob(kind)}


def _files(module: str, library: Path) -> list[Path]:
    """Return the file of a module; for a package all of its modules, since it may load them by name.

    The top package counts for nothing: it re-exports the public interface, and has the version.
    """
    path = library.joinpath(*module.split(".")[1:])
    if path == library:
        return []
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


@functools.cache
def _imports(file: Path, library: Path) -> frozenset[str]:
    """Return the names of the modules of the library that a file imports."""
    names = set()
    for statement in FIRST_PARTY_IMPORT.findall(file.read_text(encoding="utf-8")):
        (node,) = ast.parse(statement).body
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if _is_module(name, library) else str(node.module) for name in submodules.values()}
    return frozenset(names)


def _is_module(name: str, library: Path) -> bool:
    path = library.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


@functools.cache
def _file_digest(file: Path) -> str:
    return digest(file.read_text(encoding="utf-8"))
