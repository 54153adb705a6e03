"""Rules of the house that no linter knows: versions, imports, loading, documentation."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import omicsglue

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NAMESPACES = [
    name
    for name in ("genome", "graph", "pp", "tl", "metrics", "pl", "datasets")
    if (ROOT / "src" / "omicsglue" / name / "__init__.py").is_file()
]
HEAVY = (
    "torch",
    "scanpy",
    "matplotlib",
    "sklearn",
    "bioframe",
    "umap",
    "numba",
    "lightning_fabric",
    "igraph",
)
RUNS_CODE = re.compile(r"\b(pickle|dill|joblib\.load|shelve|marshal)\b|torch\.load\((?!.*weights_only=True)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_version_has_its_place_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", omicsglue.__version__)
    assert f"## [{omicsglue.__version__}]" in changelog
    assert "## [Unreleased]" in changelog


def test_import_loads_nothing_heavy() -> None:
    program = f"import sys, omicsglue; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_that_is_loaded_can_run_code(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    found = [line for line in code.splitlines() if RUNS_CODE.search(line)]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_file_is_of_a_size_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_global_state_of_random_numbers_is_touched(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert not re.search(r"\.random\.seed|seed_everything|torch\.set_rng_state", code)
    assert "random.seed(" not in code or "random" not in names_of_imports(code)  # else it is a variable
    assert "torch.manual_seed" not in code or "torch.random.fork_rng" in code


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_silenced_checks_name_their_rule(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert not re.search(r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)", code)


def public_modules() -> list[ModuleType]:
    return [omicsglue, *(importlib.import_module(f"omicsglue.{name}") for name in NAMESPACES)]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_public_names_are_there_and_documented(module: ModuleType) -> None:
    assert inspect.getdoc(module)
    bare = []
    for name in getattr(module, "__all__", []):
        item = getattr(module, name)
        if callable(item) and not (inspect.getdoc(item) or "").strip():
            bare.append(name)
    assert bare == []


def parameters_of(item: object) -> list[str]:
    names = list(inspect.signature(item).parameters)  # type: ignore[arg-type]
    return [name for name in names if name not in {"self", "cls", "args", "kwargs"}]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_parameters_of_public_functions_are_documented(module: ModuleType) -> None:
    missing = {}
    for name in getattr(module, "__all__", []):
        item = getattr(module, name)
        if inspect.isfunction(item):
            text = inspect.getdoc(item) or ""
            bare = [
                parameter for parameter in parameters_of(item) if not re.search(rf"\b{parameter}\b", text)
            ]
            if bare:
                missing[name] = bare
    assert missing == {}


def module_names() -> list[str]:
    return [name for _, name, _ in pkgutil.walk_packages(omicsglue.__path__, "omicsglue.")]


@pytest.mark.parametrize("name", module_names())
def test_examples_in_docstrings_hold(name: str) -> None:
    if ">>>" not in (importlib.util.find_spec(name).loader.get_source(name) or ""):  # type: ignore[union-attr]
        return
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def names_of_imports(code: str) -> set[str]:
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}


def test_a_module_named_random_is_told_from_a_variable() -> None:
    for line in ("import random", "from numpy import random", "import numpy.random as random"):
        assert "random" in names_of_imports(line)
    assert "random" not in names_of_imports("from omicsglue.nn.randomness import Randomness")


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_every_package_that_is_imported_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {
        re.split(r"[^A-Za-z0-9_-]", line)[0].lower().replace("-", "_") for line in project["dependencies"]
    }
    elsewhere = {"sklearn": "scikit_learn", "yaml": "pyyaml", "umap": "umap_learn"}
    imported = set().union(*map(imported_packages, SOURCES)) - set(sys.stdlib_module_names) - {"omicsglue"}
    assert {elsewhere.get(name, name) for name in imported} - required == set()


def test_pins_cover_what_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.split(r"[^A-Za-z0-9_-]", line)[0].lower().replace("_", "-") for line in wanted}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in pins)
    assert "torch==2.13.0" in pins
    assert names - {line.split("==")[0].lower().replace("_", "-") for line in pins} == set()


def test_no_path_of_a_machine_in_the_project() -> None:
    tracked = [*SOURCES, *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile"]
    home = re.compile(r"/(home|Users|root|work)/\w")
    found = [
        name_of(path) for path in tracked if path != Path(__file__) and home.search(path.read_text("utf-8"))
    ]
    assert found == []
