"""Find the columns of a file that have a product's fields: those of the configuration, else of the preset."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from recsys.core.configuration import Catalogue, Columns
from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.advice import advice, suggestion
from recsys.ingest.catalogue.formats.table import ELEMENTS, VARIANT_PREFIXES, RawTable
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


def map_columns(table: RawTable, recognition: Recognition, settings: Catalogue, name: str) -> ColumnMapping:
    """Return the columns of a file.

    Args:
        table: the file.
        recognition: the file's preset.
        settings: configured columns, which take precedence over the preset's.
        name: the catalogue's name for messages.

    Raises:
        CatalogueError: a column that is needed is missing, or a column exists twice.
    """
    preset = recognition.preset
    configured, usual = settings.columns.model_dump(), preset.columns.model_dump()
    names = [*table.names, *_later_columns(preset, table.names)]
    fields: dict[str, tuple[Spec, ...]] = {}
    notes = []
    for field in Columns.model_fields:
        specs = _specs(configured[field], names)
        if configured[field] and not specs:
            usual_specs = _usual_specs(preset, field, names)
            if field in NEEDED and not usual_specs:
                raise _missing([field], configured[field], table, name)
            used = (
                f"'{_joined(usual_specs)}' is used"
                if usual_specs
                else f"the field is empty{suggestion(configured[field][0], field, names)}"
            )
            notes.append(f"catalogue.columns.{field} is '{configured[field][0]}', which {name} does not have: {used}")
        if specs := specs or _usual_specs(preset, field, names):
            fields[field] = specs
    file_settings = {key: getattr(settings, key) or getattr(preset.settings, key) for key in FORMAT_SETTINGS}
    file_settings["decimal"] = settings.decimal  # what the prices show counts more than what is usual
    lacking = [field for field in ("id", "images") if field not in fields]
    if file_settings["image_files"] or settings.image_table:
        lacking = [field for field in lacking if field != "images"]
    if lacking:
        raise _missing(lacking, usual[lacking[0]] if preset.name != GENERIC else (), table, name)
    if "group" not in fields and any(name.startswith(VARIANT_PREFIXES) for name in names):
        fields["group"] = fields["id"]  # the rows of one record are variants of one product
    rules = preset.rows
    extra = [
        *rules.parent,
        *rules.parent_keys,
        rules.members,
        rules.kind,
        rules.surcharge,
        *preset.skip,
        *preset.untracked,
    ]
    extra += [name for conditions in preset.only_if.values() for name in conditions]
    extra += [*preset.minor_unit.values(), *preset.element_columns]
    extra += [preset.discount.mode, preset.discount.value] if preset.discount else []
    file_settings["image_files"] = _with_columns(file_settings["image_files"], fields, names)
    extra += re.findall(r"{([^}:]+)", file_settings["image_files"])
    columns = [column for specs in fields.values() for spec in specs for column in spec]
    columns += [found for column in extra if column for found in matching(column, names)[:1]]
    unique = tuple(dict.fromkeys(columns))
    for field, specs in fields.items():
        for column in (column for spec in specs for column in spec if names.count(column) > 1):
            raise CatalogueError(f"catalogue {name} has the column '{column}' (catalogue.columns.{field}) twice")
    return ColumnMapping(recognition, fields, file_settings, unique, tuple(notes))


def _later_columns(preset: Preset, names: Sequence[str]) -> list[str]:
    """Return the fields of listed records that are not in the first records of a file, but may be in later ones."""
    lists = {name.partition(ELEMENTS)[0] for name in names if ELEMENTS in name}
    unlisted = (name for name in preset.element_columns if name.partition(ELEMENTS)[0] in lists)
    return [name for name in dict.fromkeys(unlisted) if name not in names]


def _usual_specs(preset: Preset, field: str, names: Sequence[str]) -> tuple[Spec, ...]:
    """Return the columns of a field according to the preset."""
    specs = _specs(getattr(preset.columns, field), names, first_only=preset.name == GENERIC and field == "id")
    if field == "price" and preset.price_currency:
        return tuple(spec for spec in specs if re.fullmatch(preset.price_currency, spec[0]))
    return specs


def _joined(specs: Iterable[Spec]) -> str:
    return ", ".join(" + ".join(spec) for spec in specs)


def _specs(patterns: Iterable[str], names: Sequence[str], *, first_only: bool = False) -> tuple[Spec, ...]:
    specs: dict[Spec, None] = {}
    for pattern in patterns:
        columns = matching(pattern, names)
        if "*" in pattern:
            columns = [column for column in columns if names.count(column) == 1]
        if columns:
            specs |= dict.fromkeys((column,) for column in columns)
        elif " + " in pattern:
            parts = [matching(part.strip(), names)[:1] for part in pattern.split(" + ")]
            if all(parts):
                specs[tuple(part[0] for part in parts)] = None
        if specs and first_only:
            break
    return tuple(specs)


def _missing(fields: Sequence[str], expected: Sequence[str], table: RawTable, name: str) -> CatalogueError:
    """Return the error about fields without a column, with the columns of the file whose content fits.

    Args:
        fields: keys of `catalogue.columns`.
        expected: columns of the first one that were looked for.
        table: the file.
        name: the catalogue's name for messages.
    """
    columns = " or ".join(f"'{column}'" for column in expected)
    hint = suggestion(expected[0], fields[0], table.names) if expected else ""
    listed = " and ".join(f"'{field}'" for field in fields)
    what = f"no column {columns}{hint}" if columns else f"no column for {listed}"
    return CatalogueError(f"catalogue {name} has {what}: {advice(table, fields)}")


def _with_columns(template: str, fields: Mapping[str, tuple[Spec, ...]], names: Sequence[str]) -> str:
    """Return the template of image files with the columns of the file; `{id}` may also be the field.

    Raises:
        CatalogueError: it names a column that the file does not have.
    """

    def column(match: re.Match[str]) -> str:
        if columns := matching(match[1], names):
            return "{" + columns[0]
        if len(fields.get(match[1], ((), ()))) == 1 and len(fields[match[1]][0]) == 1:
            return "{" + fields[match[1]][0][0]
        raise CatalogueError(
            f"catalogue.image_files is '{template}', and the file has no column '{match[1]}'; "
            f"found: {', '.join(shorten(name, 40) for name in names[:40])}"
        )

    return re.sub(r"{([^}:]+)", column, template)
