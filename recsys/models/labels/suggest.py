"""Suggest a merge table for a shop without one: top levels that mean the same, and top levels that are no categories.

The result is a table to edit, with the evidence for each suggestion; it is not applied automatically.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.core.errors import ExportError
from recsys.core.text import shorten
from recsys.models.labels.likeness import Likeness, likeness, words
from recsys.models.labels.merge_table import is_product_name, top_level

SMALL_SHARE = 0.01
"""Share of the products below which a top level is small: 200 of 20,000; the original merged those of 19 to 180."""

BIGGER = 2
"""Ratio of sizes from which a top level is big enough for another to be merged into it."""

MIN_STRENGTH = 0.1
"""Lowest strength of the evidence (see `Likeness.strength`) for a merge; of unrelated top levels it is 0.03 to 0.1."""

MIN_WORDS = 0.05
"""Lowest likeness of words for a merge: a class that is too small to learn is confused with any other."""

MIN_CONFIDENCE = 0.6
"""Lowest confidence of a proposed merge; with less, it is listed to be considered."""

GREY_STRENGTH, GREY_CONFUSED = 0.3, 0.1
"""Strength, and share of confused products, from which two large top levels are also listed to be considered."""

BRAND_SHARE, BRAND_PRODUCTS = 0.8, 5
"""Share of the products with one brand, and number of products, from which a top level belongs to that brand."""

COLUMNS = ["value", "products", "proposal", "merge_into", "confidence", "evidence"]
ORDER = ("merge", "consider", "keep", "drop")


@dataclass(frozen=True)
class Suggestion:
    """Suggestion for one top level; fields as the columns of `suggest_merges`."""

    proposal: str
    merge_into: str | None
    confidence: float | None
    evidence: str


def suggest_merges(products: pd.DataFrame) -> pd.DataFrame:
    """Return a suggestion for each top level of a shop's category tree, with its evidence.

    The rules, in this order:

    1. The name of most of its products is no label.
    2. Spellings of one name are merged into the most frequent one.
    3. A brand's name is no label; nor is a top level with too few products to learn from.
    4. A small top level is merged into a bigger one if the evidence (see `likeness`) is clear, or if its products have
       one brand. If the evidence is not clear, or two large top levels are alike, it is listed to be considered.
    5. Any other top level stays a label.

    Args:
        products: name, brand, category_path.

    Returns:
        One row per top level: value, products (int64), proposal (`merge`, `consider`, `keep` or `drop`), merge_into
        (label of the merge), confidence (float64; of a merge the share of the best candidate in the evidence for the
        best two; of a drop the share of the products that show it; null for `keep`), evidence (in words, with
        numbers). Sorted by proposal, then by size, the largest first.
    """
    rows = products.assign(value=products["category_path"].map(top_level))
    rows = rows[rows["value"].notna()]
    sizes = {str(value): int(size) for value, size in rows["value"].value_counts().items()}
    sizes = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))
    suggestions = _product_names(rows, sizes)
    suggestions |= _spellings(_without(sizes, suggestions))
    root_of = {value: suggestion.merge_into for value, suggestion in suggestions.items()}
    rows = rows.assign(value=rows["value"].map(lambda value: root_of.get(value, value)))
    rows = rows[rows["value"].notna()]
    counts = rows["value"].value_counts()
    roots = {value: int(counts[value]) for value in _without(sizes, suggestions)}
    suggestions |= _too_rare(roots, len(products))
    suggestions |= _brand_names(rows, _without(roots, suggestions))
    suggestions |= _grey_areas(rows, _without(roots, suggestions))
    records = [
        {"value": value, "products": size, **asdict(_follow_merges(suggestions[value], suggestions))}
        for value, size in sizes.items()
    ]
    frame = pd.DataFrame(records, columns=COLUMNS).astype({"products": "int64", "confidence": "float64"})
    order = frame["proposal"].map(ORDER.index)
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def write_suggestions(suggestions: pd.DataFrame, to: Path) -> None:
    """Write suggestions as the TOML section `[labels.merge]`, each with its evidence as a comment, to edit and to copy.

    Raises:
        ExportError: the file exists, since it may have been edited; or it cannot be written.
    """
    if to.exists():
        raise ExportError(f"{to} exists and may have been edited; name another file")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text("\n".join(_toml(suggestions)) + "\n", encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error


def _without(sizes: Mapping[str, int], suggestions: Mapping[str, Suggestion]) -> dict[str, int]:
    """Return the top levels that have no suggestion yet."""
    return {value: size for value, size in sizes.items() if value not in suggestions}


def _product_names(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are the name of most of their products."""
    paths = zip(rows["value"], rows["name"], rows["category_path"], strict=True)
    named = Counter(value for value, name, path in paths if len(path) == 1 and is_product_name(value, name))
    suggestions = {}
    for value, count in named.items():
        if 2 * count > sizes[value]:
            subject = (
                "its only product has" if sizes[value] == 1 else f"{count:,} of its {sizes[value]:,} products have"
            )
            evidence = f"{subject} this name: not a category"
            suggestions[value] = Suggestion("drop", None, count / sizes[value], evidence)
    return suggestions


def _spellings(sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are another spelling of a more frequent one, from sizes in descending order."""
    most_frequent: dict[str, str] = {}
    suggestions = {}
    for value in sizes:
        spelling = _normalize(value)
        other = most_frequent.setdefault(spelling, value) if spelling else value
        if other != value:
            evidence = f"equals '{other}' except for capitals, plural, punctuation, spaces or 'and'"
            suggestions[value] = Suggestion("merge", other, 1.0, evidence)
    return suggestions


def _normalize(value: str) -> str:
    """Return the words without accents, with `&` as `and`, and the numbers of a name."""
    decomposed = unicodedata.normalize("NFKD", value.replace("&", " and ").replace("+", " and "))
    plain = "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
    return " ".join(["".join(words(plain)), *re.findall(r"\d+", plain)]).strip()


def _too_rare(sizes: Mapping[str, int], products: int) -> dict[str, Suggestion]:
    """Return the top levels with too few products to learn from: of 20,000 products, fewer than 5."""
    least = min(max(products // 1_000, 2), 5)
    return {
        value: Suggestion("drop", None, 0.5, f"{_number(size)} {'is' if size == 1 else 'are'} too few to learn from")
        for value, size in sizes.items()
        if size < least
    }


def _brand_names(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are the name of the brand of most of their products."""
    return {
        value: Suggestion("drop", None, share, f"{share:.0%} of its products have the brand '{brand}' of this name")
        for value, (brand, share) in _brands(rows, sizes).items()
        if words(value) and set(words(value)) <= set(words(brand))
    }


def _brands(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, tuple[str, float]]:
    """Return the top levels that belong to one brand, each with the brand and its share of the products."""
    large = [value for value, size in sizes.items() if size >= BRAND_PRODUCTS]
    pairs = rows.loc[rows["value"].isin(large), ["value", "brand"]]
    counts = Counter(pairs.dropna().itertuples(index=False, name=None))
    return {
        value: (brand, count / sizes[value])
        for (value, brand), count in counts.items()
        if count >= BRAND_SHARE * sizes[value]
    }


def _grey_areas(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return for each top level whether it is like a bigger one."""
    if len(sizes) < 2:
        return {value: Suggestion("keep", None, None, "the only category") for value in sizes}
    alike = likeness(rows[rows["value"].isin(list(sizes))], list(sizes))
    brands, total = _brands(rows, sizes), sum(sizes.values())
    return {
        value: _grey_area(value, sizes, alike, size < SMALL_SHARE * total, brands.get(value))
        for value, size in sizes.items()
    }


def _grey_area(
    value: str, sizes: Mapping[str, int], alike: Likeness, small: bool, brand: tuple[str, float] | None
) -> Suggestion:
    """Return the suggestion for a top level from its likeness to bigger ones and, if it belongs to one, its brand."""
    row = alike.values.index(value)
    strength = dict(zip(alike.values, alike.strength[row].tolist(), strict=True))
    min_size = (BIGGER if small else 1) * sizes[value]
    bigger = [other for other in sizes if other != value and sizes[other] >= min_size]
    ranked = sorted(bigger, key=lambda other: -strength[other])
    if not ranked or strength[ranked[0]] < MIN_STRENGTH:
        return Suggestion("keep", None, None, "like no bigger one")
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    confidence = strength[best] / (strength[best] + (strength[second] if second else 0))
    column = alike.values.index(best)
    common, confused = float(alike.words[row, column]), float(alike.confused[row, column])
    shares_words = small and common >= MIN_WORDS
    if not shares_words and not (strength[best] >= GREY_STRENGTH and confused >= GREY_CONFUSED):
        return Suggestion("keep", None, None, f"nearest is '{best}' with {strength[best]:.2f}")
    evidence = [f"shares {', '.join(alike.shared(value, best))} (likeness {common:.2f})"]
    evidence += [f"a text model predicts it for {confused:.0%} of its products"] if confused else []
    evidence += [f"next is '{second}' with {strength[second]:.2f} against {strength[best]:.2f}"] if second else []
    evidence += [f"{brand[1]:.0%} have the brand '{brand[0]}'"] if brand else []
    clear = shares_words and (confidence >= MIN_CONFIDENCE or brand is not None)
    return Suggestion("merge" if clear else "consider", best, confidence, "; ".join(evidence))


def _follow_merges(suggestion: Suggestion, suggestions: Mapping[str, Suggestion]) -> Suggestion:
    """Return a merge into the label that its target becomes; each target is larger, so there is no circle."""
    while suggestion.proposal == "merge" and suggestions[str(suggestion.merge_into)].proposal == "merge":
        suggestion = replace(suggestion, merge_into=suggestions[str(suggestion.merge_into)].merge_into)
    if suggestion.proposal == "merge" and suggestions[str(suggestion.merge_into)].proposal == "drop":
        return suggestions[str(suggestion.merge_into)]
    return suggestion


def _toml(suggestions: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of the merge table."""
    yield from (
        "# Suggested by 'recsys labels suggest', and not applied automatically: edit this table, then copy it to the",
        "# home's recsys.toml in place of its [labels.merge]. A label = the top levels that are merged into it. A top",
        "# level that is not listed gives no label: the classifier and the review list handle its products.",
        "",
        "[labels.merge]",
    )
    merged = suggestions[suggestions["proposal"] == "merge"]
    labels = suggestions[suggestions["proposal"].isin(["keep", "consider"])]
    for row in labels.sort_values(["products", "value"], ascending=[False, True]).to_dict("records"):
        yield from _toml_label(row, merged[merged["merge_into"] == row["value"]])
    dropped = suggestions[suggestions["proposal"] == "drop"]
    if len(dropped):
        yield ""
        yield f"# Not listed, with {_number(int(dropped['products'].sum()))}:"
        for value, size, evidence in dropped[["value", "products", "evidence"]].to_numpy():
            yield f"#   {_comment(_quoted(value))}  {_comment(f'{_number(size)}; {evidence}')}"


def _toml_label(row: Mapping[Hashable, Any], members: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of a label, with the top levels that are merged into it."""
    label = _quoted(row["value"])
    consider = f"; or under {_quoted(row['merge_into'])}? {row['evidence']}" if row["proposal"] == "consider" else ""
    comment = _comment(f"{_number(row['products'])}{consider}")
    if members.empty:
        yield f"{label} = [{label}]  # {comment}"
        return
    yield f"{label} = ["
    yield f"    {label},  # {comment}"
    for value, size, confidence, evidence in members[["value", "products", "confidence", "evidence"]].to_numpy():
        yield f"    {_quoted(value)},  # {_comment(f'{_number(size)}; confidence {confidence:.2f}: {evidence}')}"
    yield "]"


def _quoted(value: str) -> str:
    """Return a TOML string; TOML has the escapes of JSON and does not allow a raw delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Return a text on one line, so that it stays in its comment."""
    return shorten(text, 400)


def _number(products: int) -> str:
    return f"{products:,} product{'s' if products != 1 else ''}"
