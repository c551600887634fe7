"""Suggestions for `labels.merge`, for a shop that has no table yet: which top levels mean the same, which are none.

The result is a table to edit, with its evidence; it applies nothing by itself.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from recsys.core.errors import ExportError
from recsys.core.text import shorten
from recsys.models.labels.likeness import Likeness, likeness, words
from recsys.models.labels.merge_table import is_product_name, top_level

SMALL_SHARE = 0.01
"""A top level with fewer of the products than this is small: 200 of 20,000, where the original merged 19 to 180."""

BIGGER = 2
"""A top level is merged into one that has at least so many times its products."""

LEAST_STRENGTH = 0.1
"""Of the evidence that two top levels are one; of two that have nothing to do with each other it is 0.03 to 0.1."""

LEAST_WORDS = 0.05
"""Of the words that they share: a class too small to learn is confused with anything."""

LEAST_CONFIDENCE = 0.6
"""Of a merge that is proposed, and not only named for consideration."""

GREY = (0.3, 0.1)
"""Strength, and share of confused products, from which also two large top levels are named as a grey area."""

ONE_BRAND = (0.8, 5)
"""Share of the products that one brand has, and least number of them, from which a top level is that brand's."""

COLUMNS = ["value", "products", "proposal", "merge_into", "confidence", "evidence"]
ORDER = ("merge", "consider", "keep", "drop")


@dataclass(frozen=True)
class Suggestion:
    """What could become of one top level; the fields of `suggest_merges`' columns."""

    proposal: str
    merge_into: str | None
    confidence: float | None
    evidence: str


def suggest_merges(products: pd.DataFrame) -> pd.DataFrame:
    """Return what could become of each top level of a shop's category tree, with the evidence.

    In this order: what is the products' own name is no label; spellings of one name are merged into the most frequent;
    what is a brand's name, or too rare to learn, is no label; a small one is merged into a bigger one where the
    evidence (see `likeness`) is there and points to that one above all others, or where it is but one brand's
    products. All else stays a label of its own: to consider, where the evidence for a small one points to several or
    two large ones are a grey area.

    Args:
        products: name, brand, category_path.

    Returns:
        One row a top level: value, products (int64), proposal (`merge`, `consider`, `keep` or `drop`), merge_into (the
        label that it becomes, or could), confidence (float64: of a merge the best candidate's share of the evidence
        for the best two; of a drop that of the products that show it; null for `keep`), evidence (in words, with
        numbers). In the order of the proposals, the largest first.
    """
    rows = products.assign(value=products["category_path"].map(top_level))
    rows = rows[rows["value"].notna()]
    sizes = {str(value): int(size) for value, size in rows["value"].value_counts().items()}
    sizes = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))
    found = _product_names(rows, sizes)
    found |= _spellings({value: size for value, size in sizes.items() if value not in found})
    root_of = {value: suggestion.merge_into for value, suggestion in found.items()}
    rows = rows.assign(value=rows["value"].map(lambda value: root_of.get(value, value)))
    rows = rows[rows["value"].notna()]
    counts = rows["value"].value_counts()
    roots = {value: int(counts[value]) for value in sizes if value not in found}
    found |= _too_rare(roots, len(products))
    found |= _brand_names(rows, {value: size for value, size in roots.items() if value not in found})
    found |= _grey_areas(rows, {value: size for value, size in roots.items() if value not in found})
    suggestions = [
        {"value": value, "products": size, **asdict(_to_the_end(found[value], found))} for value, size in sizes.items()
    ]
    frame = pd.DataFrame(suggestions, columns=COLUMNS).astype({"products": "int64", "confidence": "float64"})
    order = frame["proposal"].map(ORDER.index)
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def write_suggestions(suggestions: pd.DataFrame, to: Path) -> None:
    """Write suggestions as the TOML of `[labels.merge]`, each with its evidence as a comment, to edit and to paste.

    Raises:
        ExportError: the file is there already, since it may have been edited; or it cannot be written.
    """
    if to.exists():
        raise ExportError(f"{to} is there already and may have been edited; name another file")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text("\n".join(_toml(suggestions)) + "\n", encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error


def _product_names(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are the name of most of their products."""
    paths = zip(rows["value"], rows["name"], rows["category_path"], strict=True)
    named = Counter(value for value, name, path in paths if len(path) == 1 and is_product_name(value, name))
    found = {}
    for value, count in named.items():
        if 2 * count > sizes[value]:
            told = "its only product is" if sizes[value] == 1 else f"{count:,} of its {sizes[value]:,} products are"
            evidence = f"{told} called so: a name, not a category"
            found[value] = Suggestion("drop", None, count / sizes[value], evidence)
    return found


def _spellings(sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are another spelling of a more frequent one (they come the largest first)."""
    first: dict[str, str] = {}
    found = {}
    for value in sizes:
        spelt = _spelt(value)
        other = first.setdefault(spelt, value) if spelt else value
        if other != value:
            evidence = f"'{other}' but for capitals, plural, punctuation, blanks or 'and'"
            found[value] = Suggestion("merge", other, 1.0, evidence)
    return found


def _spelt(value: str) -> str:
    """Return what makes a name: its words without accents, `&` as `and`, and its numbers."""
    decomposed = unicodedata.normalize("NFKD", value.replace("&", " and ").replace("+", " and "))
    plain = "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
    return " ".join(["".join(words(plain)), *re.findall(r"\d+", plain)]).strip()


def _too_rare(sizes: Mapping[str, int], products: int) -> dict[str, Suggestion]:
    """Return the top levels with so few products that nothing can be learned from them: of 20,000, fewer than 5."""
    least = min(max(products // 1_000, 2), 5)
    return {
        value: Suggestion("drop", None, 0.5, f"{_number(size)} {'is' if size == 1 else 'are'} too few to learn from")
        for value, size in sizes.items()
        if size < least
    }


def _brand_names(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return the top levels that are called as the brand of most of their products."""
    return {
        value: Suggestion("drop", None, share, f"{share:.0%} of its products are of the brand '{brand}': its name")
        for value, (brand, share) in _brands(rows, sizes).items()
        if words(value) and set(words(value)) <= set(words(brand))
    }


def _brands(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, tuple[str, float]]:
    """Return the top levels that are one brand's, each with the brand and its share of the products."""
    share, least = ONE_BRAND
    pairs = rows.loc[rows["value"].isin([value for value, size in sizes.items() if size >= least]), ["value", "brand"]]
    counts = Counter(pairs.dropna().itertuples(index=False, name=None))
    return {
        value: (brand, count / sizes[value])
        for (value, brand), count in counts.items()
        if count >= share * sizes[value]
    }


def _grey_areas(rows: pd.DataFrame, sizes: Mapping[str, int]) -> dict[str, Suggestion]:
    """Return for each top level whether it is much like a bigger one."""
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
    at = alike.values.index(value)
    strength = dict(zip(alike.values, alike.strength[at], strict=True))
    bigger = [other for other in sizes if other != value and sizes[other] >= (BIGGER if small else 1) * sizes[value]]
    ranked = sorted(bigger, key=lambda other: -strength[other])
    if not ranked or strength[ranked[0]] < LEAST_STRENGTH:
        return Suggestion("keep", None, None, "like no bigger one")
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    confidence = float(strength[best] / (strength[best] + (strength[second] if second else 0)))
    common = float(alike.words[at, alike.values.index(best)])
    confused = float(alike.confused[at, alike.values.index(best)])
    grey = strength[best] >= GREY[0] and confused >= GREY[1]
    if not grey and not (small and common >= LEAST_WORDS):
        return Suggestion("keep", None, None, f"nearest is '{best}' with {strength[best]:.2f}")
    told = [f"shares {', '.join(alike.shared(value, best))} (likeness {common:.2f})"]
    told += [f"a text model takes {confused:.0%} of its products for it"] if confused else []
    told += [f"next is '{second}' with {strength[second]:.2f} against {strength[best]:.2f}"] if second else []
    told += [f"{brand[1]:.0%} are of the brand '{brand[0]}'"] if brand else []
    clear = small and common >= LEAST_WORDS and (confidence >= LEAST_CONFIDENCE or brand is not None)
    return Suggestion("merge" if clear else "consider", best, confidence, "; ".join(told))


def _to_the_end(suggestion: Suggestion, found: Mapping[str, Suggestion]) -> Suggestion:
    """Return a suggestion that merges into what its label becomes itself; the sizes grow on the way, so it ends."""
    while suggestion.proposal == "merge" and found[str(suggestion.merge_into)].proposal == "merge":
        suggestion = replace(suggestion, merge_into=found[str(suggestion.merge_into)].merge_into)
    if suggestion.proposal == "merge" and found[str(suggestion.merge_into)].proposal == "drop":
        return found[str(suggestion.merge_into)]
    return suggestion


def _toml(suggestions: pd.DataFrame) -> Iterator[str]:
    yield from (
        "# Suggested by 'recsys labels suggest'. It applies nothing by itself: edit it, then put it into the home's",
        "# recsys.toml in place of its [labels.merge]. A label = the top levels that mean it; a top level that is not",
        "# listed is no label: its products are left to the classifier and the review list.",
        "",
        "[labels.merge]",
    )
    by_value = suggestions.set_index("value")
    merged = suggestions[suggestions["proposal"] == "merge"]
    kept = suggestions[suggestions["proposal"].isin(["keep", "consider"])].sort_values(
        ["products", "value"], ascending=[False, True]
    )
    for label in kept["value"]:
        row = by_value.loc[label]
        consider = (
            f"; or under {_quoted(row['merge_into'])}? {row['evidence']}" if row["proposal"] == "consider" else ""
        )
        comment = _comment(f"{_number(row['products'])}{consider}")
        members = merged[merged["merge_into"] == label]
        if members.empty:
            yield f"{_quoted(label)} = [{_quoted(label)}]  # {comment}"
            continue
        yield f"{_quoted(label)} = ["
        yield f"    {_quoted(label)},  # {comment}"
        for value, size, confidence, evidence in members[["value", "products", "confidence", "evidence"]].to_numpy():
            yield f"    {_quoted(value)},  # {_comment(f'{_number(size)}; confidence {confidence:.2f}: {evidence}')}"
        yield "]"
    dropped = suggestions[suggestions["proposal"] == "drop"]
    if len(dropped):
        yield ""
        yield f"# Not listed, with {_number(int(dropped['products'].sum()))}:"
        for value, size, evidence in dropped[["value", "products", "evidence"]].to_numpy():
            yield f"#   {_comment(_quoted(value))}  {_comment(f'{_number(size)}; {evidence}')}"


def _quoted(value: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    """Return a text that stays in its comment, whatever a catalogue wrote into it."""
    return shorten(text, 400)


def _number(products: int) -> str:
    return f"{products:,} product{'s' if products != 1 else ''}"
