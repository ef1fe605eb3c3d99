"""What importing the package loads, and what it offers."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import skphx
from skphx import StellarParameterEstimator
from skphx.paper import GaussianProcessSearch, PaperCloner

PACKAGE = Path(skphx.__file__).parent
HEAVY = ("torch", "numba", "skopt", "matplotlib", "pandas", "astropy")


def loaded_after(code):
    """Heavy modules that a new interpreter holds after `code`."""
    code += f"\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_import_is_light():
    assert loaded_after("import skphx") == []


def test_the_estimators_classes_load_no_heavy_module():
    # pandas is left out: scikit-learn itself loads it where it is installed.
    names = [name for name in skphx.__all__ if name[0].isupper()]
    code = f"import skphx\nfor name in {names!r}: getattr(skphx, name)"
    code += "\nimport skphx.paper\nfor name in skphx.paper.__all__: getattr(skphx.paper, name)"
    assert not {"torch", "numba", "skopt", "matplotlib"} & set(loaded_after(code))


def test_the_probe_sees_a_heavy_module():
    assert "numba" in loaded_after("import numba")


@pytest.mark.parametrize(
    "module",
    [
        "skphx",
        "skphx.datasets",
        "skphx.interpolation",
        "skphx.inference",
        "skphx.lines",
        "skphx.metrics",
        "skphx.observing",
        "skphx.paper",
        "skphx.validation",
    ],
)
def test_every_public_name_resolves(module):
    module = import_module(module)
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_an_unknown_name_is_named():
    with pytest.raises(AttributeError, match="module 'skphx' has no attribute 'Blaze'"):
        skphx.Blaze  # noqa: B018
    for room in ("lines", "paper"):
        with pytest.raises(AttributeError, match=rf"module 'skphx\.{room}' has no attribute 'Bl"):
            getattr(skphx, room).Blaze  # noqa: B018


def test_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert skphx.__version__ == version("skphx")


@pytest.mark.slow
def test_the_default_search_loads_no_scikit_optimize():
    code = """
from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import make_stellar_grid
grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=200,
                         n_lines=5, return_lines=True)
spectra = grid.spectra / grid.continuum
estimator = StellarParameterEstimator(FluxEmulator(grid.wavelength), n_initial_points=5)
estimator.fit(spectra, grid.parameters).predict(spectra[:1])
estimator.infer({"wavelength": grid.wavelength, "flux": spectra[0]})
"""
    assert not {"skopt", "torch", "matplotlib"} & set(loaded_after(code))
    # The paper's does.
    guided = code.replace(
        "from skphx import",
        "from skphx.paper import GaussianProcessSearch\nfrom skphx import",
    ).replace("n_initial_points=5", "search=GaussianProcessSearch(n_calls=6, n_initial_points=5)")
    assert "skopt" in loaded_after(guided)


def test_without_scikit_optimize_only_the_papers_search_fails(emulator, held_out, monkeypatch):
    estimator = StellarParameterEstimator(emulator, n_initial_points=10, random_state=0).fit(
        held_out.nodes, held_out.node_parameters
    )
    found = estimator.predict(held_out.spectra)
    monkeypatch.setitem(sys.modules, "skopt", None)
    np.testing.assert_array_equal(estimator.predict(held_out.spectra), found)
    estimator.set_params(search=GaussianProcessSearch(n_calls=12, n_initial_points=10))
    with pytest.raises(ImportError, match=r"skopt.*pip install 'skphx\[paper\]'"):
        estimator.predict(held_out.spectra)
    # It is missed before the emulator is fitted.
    with pytest.raises(ImportError, match=r"skopt.*pip install 'skphx\[paper\]'"):
        estimator.fit(held_out.nodes, held_out.node_parameters)
    # Random points alone need none of it.
    estimator.set_params(search__n_calls=10)
    assert estimator.predict(held_out.spectra).shape == (2, 3)


# What only the paper's own ways need.
OF_THE_PAPER = ("skopt", "torch.optim")


def names_of(text):
    """Modules that code imports, anywhere in it, and dotted names that it uses."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def of_the_paper(text):
    """Which of the modules that only the paper's ways need code uses."""
    names = set(names_of(text))
    return {
        module
        for module in OF_THE_PAPER
        if any(name == module or name.startswith(f"{module}.") for name in names)
    }


def test_scikit_optimize_and_optimizers_of_torch_are_used_by_the_papers_ways_alone():
    used = {
        path.relative_to(PACKAGE): of_the_paper(path.read_text()) for path in PACKAGE.rglob("*.py")
    }
    users = {path: modules for path, modules in used.items() if modules}
    assert users == {
        Path("paper/_adam.py"): {"torch.optim"},
        Path("paper/_search.py"): {"skopt"},
    }


@pytest.mark.parametrize(
    "code",
    [
        "import skopt",
        "def late():\n    from skopt import gp_minimize",
        "import skopt.space as space",
        "import torch\ntorch.optim.Adam",
        "from torch import optim",
        "from torch.optim import Adam",
        "import torch.optim",
    ],
)
def test_every_use_of_them_is_seen(code):
    assert len(of_the_paper(code)) == 1


def test_torch_is_imported_by_the_engine_and_the_paper_alone():
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "torch" for name in imports_of(path.read_text()))
    }
    assert importers
    assert all(name.startswith(("lines/_engine/", "paper/")) for name in importers)


def imports_of(text):
    """Modules that code imports, anywhere in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def test_the_papers_adam_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    spectra = np.ones((2, 50))
    with pytest.raises(
        ImportError, match=r"optimizer='adam' needs .*pip install 'skphx\[paper\]'"
    ):
        PaperCloner().fit(spectra)
    assert PaperCloner(optimizer="levenberg-marquardt").fit(spectra).n_lines_ == 0
