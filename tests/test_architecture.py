"""The layers: which package may import which, and what else holds for the whole source tree."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.app import EXIT_CODES
from recsys.core import errors
from recsys.ingest.causes import CAUSES

ROOT = Path(__file__).parents[1]
LAYERS: tuple[tuple[str, ...], ...] = (
    ("recsys.core",),
    ("recsys.storage", "sample_shop"),
    ("recsys.vision",),
    ("recsys.ingest",),
    ("recsys.models",),
    ("recsys.ranking",),
    ("recsys.evaluation",),
    ("recsys.lifecycle",),
    ("recsys.reporting",),
    ("recsys.service",),
    ("recsys",),
    ("tasks",),
    ("flows",),
    ("cli",),
)
"""The packages, lowest first. A module imports from its own package and from packages of lower layers, no other."""

NEVER = {"recsys": {"prefect", "typer"}, "sample_shop": {"prefect", "typer"}, "tasks": {"typer"}, "flows": {"typer"}}
"""Third-party packages that a top-level package must not import."""

MOST_PACKAGES = 12
"""Packages directly under `recsys/`."""

TOP_LEVEL = ("recsys", "sample_shop", "tasks", "flows", "cli")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Return every module of the product by its dotted name."""
    files = [file for top in TOP_LEVEL for file in sorted((root / top).rglob("*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(file: Path, known: dict[str, Path]) -> set[str]:
    """Return the names of the modules that a file imports, also inside its functions and for type checking."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in known else str(node.module) for name in full}
    return names


def layer(module: str) -> int:
    """Return the number of the layer that a module is in."""
    for number, packages in enumerate(LAYERS):
        for package in packages:
            if module == package or (package != "recsys" and module.startswith(f"{package}.")):
                return number
    raise AssertionError(f"{module} is in no layer: add its package to LAYERS")


def upward_imports(root: Path = ROOT) -> list[str]:
    """Return the imports that lead to another package of the same or of a higher layer."""
    known = modules(root)
    found = []
    for module, file in known.items():
        for imported in imports(file, known) & set(known):
            same = ".".join(module.split(".")[:2]) == ".".join(imported.split(".")[:2])
            same = same or module.split(".")[0] == imported.split(".")[0] != "recsys"
            if not same and imported != "recsys" and layer(imported) >= layer(module):
                found.append(f"{module} imports {imported}")
    return sorted(found)


def package_cycles(root: Path = ROOT) -> list[list[str]]:
    """Return the cycles among packages, at every depth."""
    known = modules(root)
    packages = {name for name, file in known.items() if file.name == "__init__.py"}
    graph: dict[str, set[str]] = {package: set() for package in packages}
    for module, file in known.items():
        source = module if module in packages else module.rpartition(".")[0]
        for imported in imports(file, known) & set(known):
            target = imported if imported in packages else imported.rpartition(".")[0]
            if source != target and source in packages and target in packages and target != "recsys":
                graph[source].add(target)
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return [error.args[1]]
    return []


def test_every_import_goes_to_a_lower_layer() -> None:
    assert upward_imports() == []


def test_no_packages_import_each_other() -> None:
    assert package_cycles() == []


def test_an_upward_import_is_found(tmp_path: Path) -> None:
    for top in TOP_LEVEL:
        shutil.copytree(ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "recsys" / "storage" / "store.py"
    file.write_text(f"{file.read_text(encoding='utf-8')}\nfrom recsys.models import features\n", encoding="utf-8")
    assert upward_imports(tmp_path) == ["recsys.storage.store imports recsys.models.features"]
    assert package_cycles(tmp_path)


def test_there_are_few_packages() -> None:
    packages = [folder for folder in (ROOT / "recsys").iterdir() if (folder / "__init__.py").is_file()]
    assert len(packages) <= MOST_PACKAGES
    assert {file.name for file in (ROOT / "recsys").glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize("package", NEVER)
def test_a_package_keeps_away_from_what_is_not_its_business(package: str) -> None:
    known = modules()
    for module, file in known.items():
        if module.split(".")[0] == package:
            wrong = {name.split(".")[0] for name in imports(file, known)} & NEVER[package]
            assert not wrong, f"{module} imports {wrong}"


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    for file in modules().values():
        assert file.stem not in empty_words and file.parent.name not in empty_words, file


def test_models_and_training_know_no_backend() -> None:
    known = modules()
    for module, file in known.items():
        if module.startswith(("recsys.vision", "recsys.models")):
            backends = {name.split(".")[0] for name in imports(file, known)} & {"tensorflow", "jax", "torch"}
            assert not backends, f"{module} imports a backend"


@pytest.mark.slow
def test_asking_what_is_missing_loads_no_network() -> None:
    """It takes seconds, and a run that has nothing to do needs none."""
    asking = (
        "flows.recommend, recsys.models.features, recsys.models.embedding.ledger, "
        "recsys.models.classifier.ledger, recsys.ranking.recommendations"
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
    page = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert len(codes) == 16
    for code in codes:
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE), f"docs/exit-codes.md lacks exit code {code}"
        assert re.search(rf"\b{code} [a-z]", EXIT_CODES), f"recsys --help lacks exit code {code}"


def test_every_cause_of_a_broken_link_is_documented() -> None:
    page = (ROOT / "docs" / "fetching.md").read_text(encoding="utf-8")
    for word, cause in CAUSES.items():
        again = "yes" if cause.passing else "no"
        assert f"| `{word}` | {cause.meaning} | {cause.remedy} | {again} |" in page
