"""The house rules that a machine can check (docs and tests aside): style, arrows between rooms, sizes, one Keras."""

import ast
import functools
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("easymft", "app_zoo", "scripts")
SOURCES = sorted(path for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py"))
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ROOMS]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SHOWN = {path: str(path.relative_to(ROOT)) for path in SOURCES}


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def functions_of(path):
    """Every function of a file with the number of its lines, those of its docstring left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, FUNCTIONS):
            documented = ast.get_docstring(node) is not None
            first = node.body[0]
            docstring = first.end_lineno - first.lineno + 1 if documented else 0
            yield node, node.end_lineno - node.lineno + 1 - docstring


@functools.cache
def code_of(path):
    """A file's code without comments and docstrings, which may speak of what the code must not do."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def test_ruff():
    result = run(sys.executable, "-m", "ruff", "check", "--no-cache", *ROOMS, "tests", "setup.py")
    assert result.returncode == 0, result.stdout


def test_arrows_between_rooms():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    result = run(sys.executable, "-c", command)
    assert result.returncode == 0 and "2 kept, 0 broken" in result.stdout, result.stdout + result.stderr


def test_files_are_short():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    too_long = {SHOWN[path]: count for path, count in lines.items() if count > 400 and path in PRODUCT}
    assert too_long == {}
    assert statistics.median(lines[path] for path in PRODUCT) < 150
    assert {SHOWN[path]: count for path, count in lines.items() if count > 500} == {}  # tables of cases among them


def test_functions_are_short():
    lengths = {f"{SHOWN[path]}: {node.name}": length for path in SOURCES for node, length in functions_of(path)}
    assert {name: length for name, length in lengths.items() if length > 80} == {}
    ours = [length for name, length in lengths.items() if not name.startswith("tests")]
    assert sum(length < 40 for length in ours) >= 0.9 * len(ours)


@pytest.mark.parametrize(
    ("forbidden", "why"),
    [
        (r"tf\.keras\b", "tf_keras, never tf.keras"),
        (r"^\s*(import keras|from keras|from tensorflow import .*keras)\b", "tf_keras, never Keras 3"),
        (r"^\s*except\s*:", "name the errors"),
        (r"^\s*global\s", "no globals"),
        (r"\bpickle\b|allow_pickle\s*=\s*True", "no pickles"),
    ],
)
def test_forbidden(forbidden, why):
    pattern = re.compile(forbidden, re.MULTILINE)
    found = []
    for path in PRODUCT:
        found += [f"{SHOWN[path]}: {match.group()}" for match in pattern.finditer(code_of(path))]
    allowed = (
        "easymft/__init__.py: tf.keras",  # which makes sure that it is tf_keras
        "scripts/benchmark_keras_hub.py: import keras",  # a peer in a Python of its own
    )
    assert [place for place in found if place not in allowed] == [], why


def test_public_functions_are_annotated():
    missing = []
    for path in PRODUCT:
        for node, _ in functions_of(path):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [one.arg for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
            public = not node.name.startswith("_") and path.relative_to(ROOT).parts[0] == "easymft"
            if public and (bare or node.returns is None):
                missing.append(f"{SHOWN[path]}: {node.name}")
    assert missing == []


def test_every_error_names_what_it_got():
    """At least 8 raises in a thousand lines, and none of them without a message that was made for the case."""
    raises, bare = 0, []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                raises += 1
                made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                empty = not isinstance(node.exc, ast.Call) or not (node.exc.args or node.exc.keywords)
                if empty and isinstance(made, ast.Name) and made.id[0].isupper():
                    bare.append(f"{SHOWN[path]}:{node.lineno}")
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PRODUCT)
    assert bare == [] and raises >= 8 * lines / 1000


def test_rooms_of_the_library_have_tests():
    rooms = {path.relative_to(ROOT / "easymft").parts[0] for path in (ROOT / "easymft").glob("*/*.py")}
    assert {room for room in rooms if not list((ROOT / "tests" / room).glob("test_*.py"))} == set()
    assert all((ROOT / "easymft" / room / "__init__.py").exists() for room in rooms)


def test_package_files_hold_a_docstring_alone():
    for path in PRODUCT:
        if path.name == "__init__.py" and path.parent != ROOT / "easymft":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1 and isinstance(body[0], ast.Expr), path
