"""The arrows between the rooms: cli → flows → tasks → recsys, and nothing the other way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import EXIT_CODES
from recsys import errors
from recsys.images.causes import CAUSES

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "recsys": {"recsys"},
    "tasks": {"tasks", "recsys"},
    "flows": {"flows", "tasks", "recsys"},
    "cli": {"cli", "flows", "tasks", "recsys"},
}
NEVER = {"recsys": {"prefect", "typer"}, "tasks": {"typer"}, "flows": {"typer"}, "cli": set()}


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports, also inside its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(str(node.module).split(".")[0])
    return names


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_go_one_way(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for file in files:
        rooms = imports(file) & set(MAY_IMPORT)
        assert rooms <= MAY_IMPORT[room], f"{file.relative_to(ROOT)} imports {rooms - MAY_IMPORT[room]}"
        assert not imports(file) & NEVER[room], f"{file.relative_to(ROOT)} imports {imports(file) & NEVER[room]}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    for room in MAY_IMPORT:
        for file in (ROOT / room).rglob("*.py"):
            assert file.stem not in empty_words and file.parent.name not in empty_words, file


def test_models_and_training_know_no_backend() -> None:
    rooms = ("", "backbones", "classifier", "embedding", "embedding/losses")
    files = [file for room in rooms for file in (ROOT / "recsys" / room).glob("*.py")]
    for file in files:
        assert not imports(file) & {"tensorflow", "jax", "torch"}, f"{file.relative_to(ROOT)} imports a backend"


def test_asking_what_is_missing_loads_no_network() -> None:
    """It takes seconds, and a run that has nothing to do needs none."""
    asking = (
        "flows.recommend, recsys.features, recsys.embedding.ledger, recsys.classifier.ledger, recsys.recommendations"
    )
    code = f"import sys, {asking}; print({{'keras', 'tensorflow'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_nothing_large_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith("docs/pictures/") and (ROOT / name).is_file():
            assert (ROOT / name).stat().st_size <= 1 << 20, name


def test_no_index_address_is_pinned() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_every_exit_code_is_documented() -> None:
    def all_codes(error: type[errors.RecsysError]) -> set[int]:
        return {error.exit_code}.union(*(all_codes(kind) for kind in error.__subclasses__()))

    codes = all_codes(errors.RecsysError)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(codes) == 15
    for code in codes:
        assert re.search(rf"^\| {code} \|", readme, re.MULTILINE), f"README.md lacks exit code {code}"
        assert re.search(rf"\b{code} [a-z]", EXIT_CODES), f"recsys --help lacks exit code {code}"


def test_every_cause_of_a_broken_link_is_documented() -> None:
    page = (ROOT / "docs" / "fetching.md").read_text(encoding="utf-8")
    for word, cause in CAUSES.items():
        again = "yes" if cause.passing else "no"
        assert f"| `{word}` | {cause.meaning} | {cause.remedy} | {again} |" in page
