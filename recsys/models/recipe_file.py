"""Load recipe files: a recipe is a TOML file with every setting that can change the result of a training.

A recipe has no hidden defaults, so the same file always describes the same training. The package of each model ships
some recipes; a user's own recipe is a changed copy of one of them, named by its path.
"""

import difflib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.core.digests import digest
from recsys.core.errors import ConfigurationError


class RecipeSection(BaseModel):
    """Immutable part of a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RecipeFile(RecipeSection):
    """Base class of the recipes."""

    @property
    def digest(self) -> str:
        """Return 32 hex digits that identify the content, whatever the file is called."""
        return digest([self.model_dump(mode="json")])


R = TypeVar("R", bound=RecipeFile)


def shipped_recipes(folder: Path) -> list[str]:
    """Return the names of the recipes in a folder, sorted."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def load_recipe_file(model: type[R], folder: Path, setting: str, name_or_path: str | Path) -> R:
    """Return a shipped recipe by its name, or the recipe in a file by its path.

    Args:
        model: class of the recipe.
        folder: folder of the shipped recipes.
        setting: configuration key that names the recipe, for the error message.
        name_or_path: name of a shipped recipe, or path of a file.

    Raises:
        ConfigurationError: the recipe or file does not exist; or the file has an unknown key, lacks a key, or has an
            impossible value. The message names the file and the key.
    """
    names = shipped_recipes(folder)
    file = folder / f"{name_or_path}.toml" if str(name_or_path) in names else Path(name_or_path)
    if not file.is_file():
        raise ConfigurationError(
            f"{setting}: there is no recipe or file '{name_or_path}'; the recipes are {', '.join(names)}; or give the "
            "path of a changed copy of one"
        )
    try:
        return model.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise ConfigurationError(f"recipe {file}: {_first_error(model, folder, error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"recipe {file} cannot be read: {error}") from error


def _first_error(model: type[BaseModel], folder: Path, error: ValidationError) -> str:
    """Return the first validation error on one line."""
    first: Any = error.errors()[0]
    known = list(_keys(model))
    key = _key(first["loc"], known)
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, known, n=1)
        return f"unknown key '{key}'" + (f"; did you mean '{close[0]}'?" if close else "")
    if first["type"] == "missing":
        return f"key '{key}' is missing; copy it from one of the recipes in {folder}"
    message = first["msg"].removeprefix("Value error, ")
    return f"impossible value for '{key}': {message}" if key else str(message)


def _key(location: tuple[str | int, ...], known: list[str]) -> str:
    """Return the dotted key of an error; pydantic also puts the tag of a discriminated union into the location."""
    key = ""
    for part in location[:-1]:
        if f"{key}{part}" in known:
            key += f"{part}."
    return "".join([key, *(str(part) for part in location[-1:])])


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a recipe class and of its sections."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for section in _sections(field.annotation):
            yield from _keys(section, f"{prefix}{name}.")


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a type annotation allows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]
