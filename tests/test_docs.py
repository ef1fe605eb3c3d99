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
    rooms = [name for name in skphx.__all__ if inspect.ismodule(getattr(skphx, name))]
    for room in ("skphx", *(f"skphx.{name}" for name in rooms)):
        module = import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.isclass(thing) and not inspect.isfunction(thing):
                continue
            yield f"{room}.{name}"
            if inspect.isclass(thing):
                for member in sorted(set(members_of(thing))):
                    yield f"{room}.{name}.{member}"


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


def rooms_of_the_picture():
    """Rooms in the order in which data flows."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = next(line for line in text.splitlines() if "─▶" in line)
    return [room.strip() for room in picture.split("─▶")]


def room_of_files():
    """Room of each file and folder of the package's top level."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| part |")[2].partition("\n\n")[0]
    rooms = {}
    for row in table.splitlines()[2:]:
        room, files, _ = (cell.strip() for cell in row.strip("|").split("|", 2))
        for file in re.findall(r"`([^`]+)`", files):
            assert file not in rooms, f"{file} stands in two rooms"
            rooms[file] = room
    return rooms


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


def test_every_file_has_a_room():
    there = {path.name for path in PACKAGE.glob("*.py")}
    there |= {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert set(room_of_files()) == there
    assert set(room_of_files().values()) == {"base", *rooms_of_the_picture(), "outside"}


def test_imports_go_to_the_left():
    order = ["base", *rooms_of_the_picture(), "outside"]
    rooms = room_of_files()
    backwards = []
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).parts
        here = rooms[inside[0] if len(inside) == 1 else f"{inside[0]}/"]
        for module in imports_of(path):
            if not module.startswith("skphx."):
                continue
            there = rooms[top_level(module)]
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


def test_reference_names_all_rooms():
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
