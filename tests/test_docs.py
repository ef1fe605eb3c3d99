"""Docstrings, and pages that promise something about the code."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from numpydoc.validate import validate

import skphx

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "skphx"

# What numpydoc can find that we do not ask for: an extended summary, See Also and Examples in
# every method; capitals where a description starts with the name of a thing; a type in "as of
# `fit`"; "self : Class" as scikit-learn writes it. SS05 takes nouns in the plural for verbs.
NOT_ASKED = {"ES01", "SA01", "SA03", "EX01", "PR04", "PR08", "RT02", "RT04", "SS05"}


def public_objects():
    """Qualified names of all public classes, their methods and properties, and functions."""
    parts = [name for name in skphx.__all__ if inspect.ismodule(getattr(skphx, name))]
    for part in ("skphx", *(f"skphx.{name}" for name in parts)):
        module = import_module(part)
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.isclass(thing) and not inspect.isfunction(thing):
                continue
            yield f"{part}.{name}"
            if inspect.isclass(thing):
                for member in sorted(set(members_of(thing))):
                    yield f"{part}.{name}.{member}"


def members_of(thing):
    """Public methods and properties of a class, also of those of ours that it inherits from."""
    for base in thing.__mro__:
        if not base.__module__.startswith("skphx"):
            continue
        for member, value in vars(base).items():
            is_member = inspect.isfunction(value) or isinstance(
                value, property | classmethod | staticmethod
            )
            if is_member and not member.startswith("_"):
                yield member


def shortcomings(name):
    """What numpydoc finds in a docstring, of what we ask for."""
    for code, message in validate(name)["errors"]:
        if code in NOT_ASKED:
            continue
        # What a result holds stands under Attributes; nobody calls its constructor.
        missing = set(re.findall(r"'(\w+)'", message)) if code == "PR01" else set()
        attributes = inspect.getdoc(find(name)).partition("Attributes\n---")[2]
        if missing and all(re.search(rf"^{one} :", attributes, re.M) for one in missing):
            continue
        yield f"{code}: {message}"


def find(name):
    module, _, rest = name.partition(".")
    thing = import_module(module)
    for part in rest.split("."):
        thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize("name", list(public_objects()))
def test_docstring_follows_numpydoc(name):
    assert list(shortcomings(name)) == []


def test_a_poor_docstring_is_noticed(monkeypatch):
    monkeypatch.setattr(skphx.metrics.flux_rms, "__doc__", "Root mean square.")
    codes = {text.split(":")[0] for text in shortcomings("skphx.metrics.flux_rms")}
    assert {"PR01", "RT01"} <= codes


# Architecture -----------------------------------------------------------------------------


def folders_of_the_picture():
    """Folders in the order in which data flows."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = next(line for line in text.splitlines() if "─▶" in line)
    return [part.strip() for part in picture.split("─▶")]


def part_of_files():
    """Part of each file and folder of the package's top level."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| part |")[2].partition("\n\n")[0]
    parts = {}
    for row in table.splitlines()[2:]:
        part, files, _ = (cell.strip() for cell in row.strip("|").split("|", 2))
        for file in re.findall(r"`([^`]+)`", files):
            assert file not in parts, f"{file} stands in two parts"
            parts[file] = part
    return parts


def imports_of(path):
    """Modules of the package that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "skphx":
            yield from (f"skphx.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def top_level(module):
    """File or folder at the top of the package in which a module lies."""
    name = module.split(".")[1]
    if f"skphx.{name}" == module and name in skphx.__all__ and name[0].isupper():
        # A class that the package offers, wherever it lives: in a file or in a folder.
        name = getattr(skphx, name).__module__.split(".")[1]
    return f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"


def test_every_file_has_its_part():
    there = {path.name for path in PACKAGE.glob("*.py")}
    there |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert set(part_of_files()) == there
    assert set(part_of_files().values()) == {"base", *folders_of_the_picture(), "outside"}


def test_imports_go_to_the_left():
    order = ["base", *folders_of_the_picture(), "outside"]
    parts = part_of_files()
    backwards = []
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        here = parts[inside[0] if len(inside) == 1 else f"{inside[0]}/"]
        for module in imports_of(path):
            if not module.startswith("skphx."):
                continue
            there = parts[top_level(module)]
            if order.index(there) > order.index(here):
                backwards.append(f"{path.relative_to(ROOT)} ({here}) imports {module} ({there})")
    assert backwards == []


def test_backward_imports_are_seen(tmp_path):
    file = tmp_path / "lines.py"
    file.write_text("def late():\n    from skphx.lines._cloner import VoigtCloner\n")
    assert list(imports_of(file)) == ["skphx.lines._cloner"]
    assert top_level("skphx.VoigtCloner") == "lines/"
    assert top_level("skphx.FluxEmulator") == "flux/"
    assert top_level("skphx.lines._table") == "lines/"


def test_reference_names_all_modules():
    page = (ROOT / "docs" / "api.md").read_text()
    listed = set(re.findall(r"^   (\w+)$", page, re.M))
    assert set(skphx.__all__) - {"__version__"} <= listed


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("plot_*.py")), ids=lambda p: p.stem
)
def test_examples_have_a_title(path):
    title = ast.get_docstring(ast.parse(path.read_text())).splitlines()
    # What sphinx-gallery makes the page's heading of.
    assert re.fullmatch(r"=+", title[1])
    assert len(title[1]) == len(title[0])
