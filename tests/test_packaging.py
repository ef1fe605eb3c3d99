"""The package as a stranger meets it: version, typing marker, light import, pages' links."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import skphx

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]


def test_version_is_one_everywhere():
    assert skphx.__version__ == metadata.version("skphx")
    assert str(Version(skphx.__version__)) == skphx.__version__


def test_types_are_marked_as_shipped():
    assert (resources.files("skphx") / "py.typed").is_file()


def test_import_loads_nothing_but_itself():
    # What takes time to import is what others made: a set of names, and not of seconds, tells.
    # Other finders of modules, such as those of editable installs, load before ours.
    code = (
        "import sys; before = set(sys.modules); import skphx\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(names - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["skphx"]


@pytest.mark.parametrize("name", skphx.__all__)
def test_public_names_exist(name):
    assert getattr(skphx, name) is not None
    assert name in dir(skphx)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'VoigtClone'"):
        skphx.VoigtClone  # noqa: B018


def test_torch_is_an_extra_and_pinned_to_one_build():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {Requirement(entry).name for entry in project["dependencies"]}
    assert not {"torch", "scikit-optimize"} & required
    makefile = (ROOT / "Makefile").read_text()
    assert "TORCH := torch==2.13.0" in makefile
    # Every install that may ask for torch names that build.
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert all("$(TORCH)" in line for line in installs if "test]" in line or "-minimum" in line)


# Modules of the line engine that are imported when tensors of torch come.
FOR_TENSORS = ("autograd", "faddeeva", "kernels_torch")


def imported_modules(statements):
    """Top-level names of the modules that these statements import, without relative ones."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_every_imported_distribution_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {Requirement(entry).name for entry in project["dependencies"]}
    extras = chain.from_iterable(project["optional-dependencies"].values())
    known = required | {Requirement(entry).name for entry in extras}
    distributions_of = metadata.packages_distributions()
    ours = {"skphx", *sys.stdlib_module_names}
    for path in (ROOT / "skphx").rglob("*.py"):
        tree = ast.parse(path.read_text())
        # What a function imports when it is called may come with an extra, and so may what is
        # imported by functions only.
        at_import = known if path.stem in FOR_TENSORS else required
        for declared, statements in ((at_import, tree.body), (known, ast.walk(tree))):
            for module in set(imported_modules(statements)) - ours:
                names = {name.lower() for name in distributions_of[module]}
                assert names & declared, f"{path.name} imports {module}, which is not declared"


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    # What `make docs` generates is not there before; it checks these itself.
    targets = [target for target in targets if not target.startswith("generated/")]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_citation_names_what_the_readme_names():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "title", "message", "authors"} <= set(citation)
    assert citation["license"] == "MIT"
    cited = {work["doi"] for work in citation["references"] if "doi" in work}
    named = set(re.findall(r"doi:([\w./-]+?)[:;,]?\s", (ROOT / "README.md").read_text()))
    assert named
    assert named <= cited
    titles = {work["title"].split(":")[0] for work in citation["references"]}
    assert {"Scikit-learn", "scikit-optimize"} <= titles


def test_make_explains_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
    explained = set(re.findall(r'@echo "make (\w+) ', makefile))
    assert explained == phony - {"help", "install"}
    assert phony == set(re.findall(r"^(\w+):", makefile, re.M))


def test_oldest_versions_are_those_that_are_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    lowest = {}
    for entry in [*project["dependencies"], *extras]:
        requirement = Requirement(entry)
        for bound in requirement.specifier:
            lowest[requirement.name] = Version(bound.version)
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints-minimum.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    for pin in pins:
        assert Version(next(iter(pin.specifier)).version) == lowest[pin.name], pin.name
    required = {Requirement(entry).name for entry in project["dependencies"]}
    assert required <= {pin.name for pin in pins}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "docs" / "architecture.md"], ids=lambda page: page.name
)
def test_named_files_exist(page):
    named = set(re.findall(r"`((?:skphx|tests|benchmarks|examples)/[\w./]*)`", page.read_text()))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_public_surface_is_small():
    names = set(skphx.__all__)
    for name in skphx.__all__:
        thing = getattr(skphx, name)
        names |= {f"{name}.{one}" for one in getattr(thing, "__all__", ())}
    assert len(names) < 100
