"""Every path of a source file that a page names exists, and so does every page that another page links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
]
SOURCE_PATH = re.compile(r"(?<![\w/.:-])(?:recsys|tasks|flows|cli|tests|sample_shop|benchmarks|deploy)/[\w/.*-]*\w")
CREATED = {"benchmarks/.gpu", "benchmarks/.sample-shop", "benchmarks/.venv-img2dataset"}
"""Paths that a benchmark creates."""
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_source_path_that_a_page_names_exists(page: Path) -> None:
    paths = set(SOURCE_PATH.findall(page.read_text(encoding="utf-8"))) - CREATED
    assert [path for path in sorted(paths) if not any(ROOT.glob(path.replace("NAME", "*")))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = set(LINK.findall(page.read_text(encoding="utf-8")))
    assert [link for link in sorted(links) if not (page.parent / link).exists()] == []


def test_a_wrong_path_is_found() -> None:
    """The pattern finds paths in running text, in tables and in commands."""
    text = "see `recsys/no/such.py`, |tests/gone.py| and `pytest tests/old`; not s3://shop/recsys/x or a/recsys/y"
    assert SOURCE_PATH.findall(text) == ["recsys/no/such.py", "tests/gone.py", "tests/old"]
