"""Every block of README and documentation that a user would copy runs as it is written.

A page is one program: its blocks run in their order, in a folder of their own that holds only what
`GIVEN` says. Fenced blocks have these kinds:

========== ===========================================================================
python     runs; names stay known to the blocks below
bash       ``skphx`` runs in this process; of ``make``, ``pip`` and ``python`` it is
           checked that the target, extra or file exists
text       what the block above prints, with ... for what is left out; or a picture
{...}      directives of the documentation, which its build checks
========== ===========================================================================

Indented blocks hold commands only. Anything else fails the test of its page.
"""

import ast
import builtins
import glob
import gzip
import re
import shlex
import tomllib
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table
from phoenix_server import serve, write_library
from sklearn import config_context

from skphx.cli import main
from skphx.datasets import _layouts, make_stellar_grid
from skphx.observing import vacuum_to_air

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
] + sorted((ROOT / "docs").glob("*.md"))  # fmt: skip

# Blocks that run nowhere but on a cluster, by a word in them.
ONLY_CHECKED = {"SLURMCluster": "needs dask-jobqueue and the queue of a cluster"}
# Text that is a picture, and not what a program prints.
PICTURES = {"architecture.md"}
# Files that a page's program leaves behind.
LEFT = {
    "README.md": ["estimator.joblib", "model.skops", "results.csv", "star.ecsv"],
    "data.md": ["model.skops", "results.csv", "lines.skops", "grid.lines/manifest.json"],
    "pictures.md": ["manifold.png"],
    "persistence.md": ["cloner.skops"],
    "scaling.md": ["their_clones/node_00000.pt", "theirs.lines/manifest.json"],
}


# Pages and their blocks --------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    line: int


def blocks_of(text):
    """All fenced and indented blocks of a page, in order."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first = number
        fence = re.match(r"( *)(`{3,}|~{3,}|:{3,})(.*)$", lines[number])
        if fence:
            indent, mark, kind = fence.groups()
            number += 1
            while lines[number].strip() != mark:  # an open fence ends in an IndexError
                number += 1
            content = [line.removeprefix(indent) for line in lines[first + 1 : number]]
            number += 1
            yield Block(kind.strip(), "\n".join(content) + "\n", first + 1)
        elif lines[number].startswith("    ") and (not first or not lines[first - 1].strip()):
            while number < len(lines) and (
                lines[number].startswith("    ") or not lines[number].strip()
            ):
                number += 1
            content = "\n".join(line[4:] for line in lines[first:number]).strip("\n")
            yield Block("indented", content + "\n", first + 1)
        else:
            number += 1


def run_page(name, text):
    """Run the blocks of a page; return the names that they define."""
    names, printed = {"__name__": "__main__"}, None
    for block in blocks_of(text):
        where = f"{name}, line {block.line}"
        if block.kind == "python":
            printed = run_python(block, names, where)
        elif block.kind in ("bash", "indented"):
            commands = block.text.replace("\\\n", " ").splitlines()
            words = [shlex.split(command, comments=True) for command in commands]
            printed = "".join(run_command(line, where) for line in words if line)
        elif block.kind == "text" and name in PICTURES:
            assert printed is None, f"{where}: a program above; is it a picture?"
        elif block.kind == "text":
            assert printed is not None, f"{where}: text, and no program that prints it"
            check_output(block.text, printed, where)
        else:
            known = re.match(r"\{(eval-rst|toctree|include)\}", block.kind)
            assert known, f"{where}: a block of kind {block.kind!r}, which is not known"
    return names


def run_python(block, names, where):
    """Run a program; return what it prints."""
    code = compile("\n" * block.line + block.text, where, "exec")
    if any(word in block.text for word in ONLY_CHECKED):
        check_names(block.text, names, where)
        return None
    printed = StringIO()
    with redirect_stdout(printed), warnings.catch_warnings():
        if "LocalCluster" in block.text:
            # Of a cluster's own start and end: ports in use, sockets left to the collector.
            warnings.simplefilter("ignore")
        exec(code, names)
    return printed.getvalue()


def check_names(text, names, where):
    """Check a program that cannot run: its imports, and that it uses no unknown name."""
    tree = ast.parse(text)
    known = {*names, *dir(builtins)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or node.names[0].name
            is_ours = module.partition(".")[0] in ("skphx", "distributed", "joblib", "numpy")
            assert not is_ours or find_spec(module), f"{where}: there is no {module}"
            known |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            known.add(node.id)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used <= known, f"{where}: nothing defines {sorted(used - known)}"


def run_command(words, where):
    """Run or check a command; return what it prints."""
    program, *rest = words
    if program == "skphx":
        # As a shell does it.
        rest = [
            name
            for word in rest
            for name in (sorted(glob.glob(word)) if re.search(r"[*?]", word) else [word])
        ]
        printed = StringIO()
        with redirect_stdout(printed):
            status = main(rest)
        assert status == 0, f"{where}: {' '.join(words)} ends with status {status}"
        return printed.getvalue()
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(rest) <= set(targets), f"{where}: no target {rest}"
    elif program == "pip":
        check_installation(rest, where)
    elif Path(program).name == "python":
        named = [word for word in rest if "/" in word]
        assert named, f"{where}: python runs no file"
        assert all((ROOT / word).is_file() for word in named), f"{where}: no file {named}"
    else:
        raise AssertionError(f"{where}: a command that is not known: {' '.join(words)}")
    return ""


def check_installation(words, where):
    """Check what ``pip`` is given: extras, and files of constraints."""
    assert words[0] == "install", where
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    words = iter(words[1:])
    for word in words:
        if word in ("-c", "--constraint"):
            assert (ROOT / next(words)).is_file(), where
            continue
        package = re.fullmatch(r"(skphx|\.)(?:\[([\w,]+)\])?", word)
        assert package, f"{where}: pip installs {word}"
        extras = set((package[2] or "").split(",")) - {""}
        assert extras <= set(project["optional-dependencies"]), f"{where}: no extra {extras}"


def check_output(expected, printed, where):
    """Compare what a page shows with what was printed."""
    options = ELLIPSIS | NORMALIZE_WHITESPACE
    assert OutputChecker().check_output(expected, printed, options), (
        f"{where}: the page shows\n{expected}\nand the program prints\n{printed}"
    )


# What users have ---------------------------------------------------------------------------

STAR = {"n_lines": 4, "random_state": 1}


def write_star(path, parameters, *, wavelength, velocity=0.0, seed=0):
    """A FITS table of an observed star, S/N 100."""
    model = make_stellar_grid(parameters=[parameters], wavelength=wavelength, **STAR)
    flux = model.spectra[0]
    sigma = flux / 100
    flux = flux + np.random.default_rng(seed).normal(scale=sigma)
    columns = [wavelength * (1 + velocity / 299_792.458), flux, sigma]
    table = Table(columns, names=("wavelength", "flux", "sigma"), units=("Angstrom", None, None))
    table.meta["AIRORVAC"] = "vacuum"
    table.write(path)


def give_star(folder):
    write_star(
        folder / "star.fits",
        [5432.0, 4.32, -0.21],
        wavelength=np.arange(8455.0, 8705.0, 0.37),
        velocity=12.0,
    )


def give_text(folder):
    """Write the star of `give_star` as columns without names, in nm and air."""
    give_star(folder)
    table = Table.read(folder / "star.fits")
    columns = [vacuum_to_air(table["wavelength"]) / 10, table["flux"], table["sigma"]]
    np.savetxt(folder / "star.txt", np.column_stack(columns))


def give_night(folder):
    (folder / "night").mkdir()
    for number, teff in enumerate((5300.0, 5700.0)):
        write_star(
            folder / "night" / f"star{number}.fits",
            [teff, 4.4, -0.3],
            wavelength=np.arange(8490.0, 8550.0, 0.1),
            velocity=5.0,
            seed=number,
        )


def give_bt_settl(folder):
    (folder / "folder").mkdir()
    wavelength = np.arange(8449.0, 8711.0, 0.05)
    for name in ("lte032.0-4.5-0.0a+0.0", "lte034.0-4.5-0.0a+0.0"):
        rows = (f"{pixel:.4f} 14.5 14.6" for pixel in wavelength)
        (folder / "folder" / f"{name}.BT-Settl.spec.7").write_text("\n".join(rows) + "\n")


def give_vald(folder):
    header = (
        "Spec Ion   WL_vac(A)  Excit(eV) Vmic log gf*  Rad.  Stark  Waals  factor  depth  Ref\n"
    )
    damping = "8.210, -5.700, -7.676, 1.070"
    row = f"'Ca 2',  8500.4000, 1.6924, 1.0, -1.416, {damping}, 0.850, 'generated'\n"
    with gzip.open(folder / "my_list.gz", "wt") as file:
        file.write(header + row)


GIVEN = {
    "README.md": (give_text, give_night),
    "data.md": (give_night, give_bt_settl),
    "pictures.md": (give_vald,),
    "survey.md": (give_night,),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of PHOENIX in place of the library's own, and a folder for downloads."""
    folder = tmp_path_factory.mktemp("server")
    write_library(
        folder / "library",
        wavelength=np.arange(8440.0, 8720.0, 0.5),
        n_lines=STAR["n_lines"],
        teff=range(5000, 6001, 100),
        logg=(4.0, 4.5, 5.0),
        feh=(-0.5, 0.0),
    )
    phoenix = _layouts.get_layout("phoenix")
    with serve(folder / "library") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("SKPHX_DATA", str(folder / "home"))
        layouts = {**_layouts._REGISTRY, "phoenix": replace(phoenix, url=server.url)}
        patch.setattr(_layouts, "_REGISTRY", layouts)
        yield server


# Tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for give in GIVEN.get(page.name, ()):
        give(tmp_path)
    matplotlib.use("agg")
    # What a page sets, and the pictures that it leaves open, must not reach other tests.
    with config_context(), matplotlib.rc_context():
        run_page(page.name, page.read_text())
    plt.close("all")
    for name in LEFT.get(page.name, ()):
        assert (tmp_path / name).is_file(), name


def test_readme_infers_the_star_of_the_files(server, tmp_path, monkeypatch):
    """The first programs of the README: from a library and a file to parameters."""
    monkeypatch.chdir(tmp_path)
    give_text(tmp_path)
    text = (ROOT / "README.md").read_text()
    first, own = [block for block in blocks_of(text) if block.kind == "python"][:2]
    assert "fetch_phoenix" in first.text
    assert "star.txt" in own.text
    names = {"__name__": "__main__"}
    truth = np.array([5432.0, 4.32, -0.21, 12.0])
    for block in (first, own):
        run_python(block, names, "README.md")
        result = names["result"]
        assert names["grid"].spectra.shape[0] == 66
        assert result.parameter_names == ("teff", "logg", "feh", "velocity")
        assert (abs(result.parameters - truth) < 5 * result.errors).all()
        assert "bad_fit" not in result.flags
        assert result.sigma_known
    assert Table.read("star.ecsv")["teff"].unit == "K"


def test_pages_that_teach_have_programs():
    kinds = {page.name: {block.kind for block in blocks_of(page.read_text())} for page in PAGES}
    for name in ("README.md", "quickstart.md", "inference.md", "survey.md", "concepts.md"):
        assert "python" in kinds[name], name
    assert "bash" in kinds["README.md"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```yaml\na: 1\n```\n", "kind 'yaml'"),
        ("```\nx = 1\n```\n", "kind ''"),
        ("Text\n\n    x = 1\n", "not known: x = 1"),
        ("```bash\nsed -i s/a/b/ file\n```\n", "not known: sed"),
        ("```bash\nmake nothing\n```\n", "no target"),
        ("```bash\npip install 'skphx[nothing]'\n```\n", "no extra"),
        ("```bash\npython examples/nothing.py\n```\n", "no file"),
        ("```bash\nskphx info nothing\n```\n", "status 1"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "the program prints"),
        ("```text\n2\n```\n", "no program"),
        ("```python\nSLURMCluster(nothing)\n```\n", "nothing defines"),
    ],
    ids=lambda value: None,
)
def test_what_does_not_run_is_noticed(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=re.escape(message)):
        run_page("page.md", text)


def test_blocks_are_found():
    text = "# A\n\n    make test\n\n- item\n  more\n\n```python\nx = 1\n\n    # inside\n```\nend\n"
    found = [(block.kind, block.text, block.line) for block in blocks_of(text)]
    assert found == [
        ("indented", "make test\n", 3),
        ("python", "x = 1\n\n    # inside\n", 8),
    ]
    names = run_page(
        "page.md", "```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n"
    )
    assert names["x"] == 1
