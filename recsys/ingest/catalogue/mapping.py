"""Find the columns of a file that have a product's fields: those of the configuration, else of the preset."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recsys.core.configuration import Catalogue, Columns
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.preset import GENERIC, Preset, Recognition, matching

Spec = tuple[str, ...]
"""Columns whose texts are joined by a hyphen; mostly one."""

NEEDED = ("id", "images", "category_tree")
"""Fields whose configured column must exist."""
FORMAT_SETTINGS = (
    *("tree_separator", "path_separator", "image_separator", "image_base", "image_files"),
    *("currency", "decimal"),
)


@dataclass(frozen=True)
class ColumnMapping:
    """Columns of a file by field.

    Attributes:
        recognition: the preset.
        fields: columns of each field of `catalogue.columns` that the file has.
        settings: settings of the file's cells, from the configuration, else from the preset; empty ones are detected.
        columns: all columns that are read, each once.
        notes: sentences on configured columns that the file lacks.
    """

    recognition: Recognition
    fields: Mapping[str, tuple[Spec, ...]]
    settings: Mapping[str, str]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def name_of(self, field: str) -> str:
        """Return the columns of a field for messages."""
        return _joined(self.fields.get(field, ())) or field


def map_columns(names: Sequence[str], recognition: Recognition, settings: Catalogue, name: str) -> ColumnMapping:
    """Return the columns of a file.

    Args:
        names: names of the file's columns.
        recognition: the file's preset.
        settings: configured columns, which take precedence over the preset's.
        name: the catalogue's name for messages.

    Raises:
        CatalogueError: a column that is needed is missing, or a column exists twice.
    """
    preset = recognition.preset
    configured, usual = settings.columns.model_dump(), preset.columns.model_dump()
    fields: dict[str, tuple[Spec, ...]] = {}
    notes = []
    for field in Columns.model_fields:
        specs = _specs(configured[field], names)
        if configured[field] and not specs:
            found = _usual_specs(preset, field, names)
            if field in NEEDED and not found:
                raise _missing(field, configured[field], names, name)
            used = (
                f"'{_joined(found)}' is used"
                if found
                else f"the field is empty{suggestion(configured[field][0], field, names)}"
            )
            notes.append(f"catalogue.columns.{field} is '{configured[field][0]}', which {name} does not have: {used}")
        if specs := specs or _usual_specs(preset, field, names):
            fields[field] = specs
    file_settings = {key: getattr(settings, key) or getattr(preset.settings, key) for key in FORMAT_SETTINGS}
    for field in ("id", "images"):
        if field not in fields and not (field == "images" and file_settings["image_files"]):
            raise _missing(field, usual[field] if preset.name != GENERIC else (), names, name)
    rules = preset.rows
    extra = [rules.parent, *rules.parent_keys, rules.members, rules.kind, *preset.skip, *preset.untracked]
    extra += re.findall(r"{([^}:]+)", file_settings["image_files"])
    columns = [column for specs in fields.values() for spec in specs for column in spec]
    columns += [found for column in extra if column for found in matching(column, names)[:1]]
    unique = tuple(dict.fromkeys(columns))
    for field, specs in fields.items():
        for column in (column for spec in specs for column in spec if names.count(column) > 1):
            raise CatalogueError(f"catalogue {name} has the column '{column}' (catalogue.columns.{field}) twice")
    return ColumnMapping(recognition, fields, file_settings, unique, tuple(notes))


def _usual_specs(preset: Preset, field: str, names: Sequence[str]) -> tuple[Spec, ...]:
    """Return the columns of a field according to the preset."""
    return _specs(getattr(preset.columns, field), names, first_only=preset.name == GENERIC and field == "id")


def _joined(specs: Iterable[Spec]) -> str:
    return ", ".join(" + ".join(spec) for spec in specs)


def _specs(wanted: Iterable[str], names: Sequence[str], *, first_only: bool = False) -> tuple[Spec, ...]:
    specs: dict[Spec, None] = {}
    for pattern in wanted:
        found = matching(pattern, names)
        if "*" in pattern:
            found = [column for column in found if names.count(column) == 1]
        if found:
            specs |= dict.fromkeys((column,) for column in found)
        elif " + " in pattern:
            parts = [matching(part.strip(), names)[:1] for part in pattern.split(" + ")]
            if all(parts):
                specs[tuple(part[0] for part in parts)] = None
        if specs and first_only:
            break
    return tuple(specs)


def _missing(field: str, wanted: Sequence[str], names: Sequence[str], name: str) -> CatalogueError:
    """Return the error about a field without a column, with the nearest columns of the file."""
    listed = ", ".join(shorten(column, 40) for column in names[:40])
    what = " or ".join(f"'{column}'" for column in wanted) or f"for the field '{field}'"
    hint = suggestion(wanted[0] if wanted else field, field, names)
    return CatalogueError(
        f"catalogue {name} has no column {what}{hint}; set catalogue.columns.{field}; found: {listed}"
    )


def suggestion(column: str, field: str, names: Sequence[str]) -> str:
    """Return ` (did you mean 'x'?)` with the name nearest to the wanted column or to its field, else nothing."""
    folded = {name.casefold().replace(" ", "_"): name for name in names}
    close = difflib.get_close_matches(column.casefold(), folded, 1) or difflib.get_close_matches(field, folded, 1)
    return f" (did you mean '{shorten(folded[close[0]], 40)}'?)" if close else ""
