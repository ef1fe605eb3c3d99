"""The command line: from a server to the parameters of a star, and what it says when it cannot."""

import csv
import json
import pickle
import subprocess
import sys
import tomllib
import zipfile
from types import FunctionType

import numpy as np
import pytest
import skops.io
import torch
from astropy.io import fits
from astropy.table import Table
from named_star_grids import LINE_LIST, flux_emulator, spectra
from phoenix_server import serve, write_library
from sklearn.preprocessing import StandardScaler

from skphx import (
    FluxEmulator,
    PercentileNormalizer,
    StellarParameterEstimator,
    load_model,
    save_model,
)
from skphx.cli import main
from skphx.cli._parser import in_options
from skphx.datasets import load_npz_grid, make_stellar_grid, save_npz_grid
from skphx.inference import ObservationModel
from skphx.lines import LineArchive
from skphx.paper import read_state_dicts, save_state_dicts
from skphx.species import name_lines

pytestmark = pytest.mark.slow

WAVELENGTH = np.arange(8498.0, 8512.0, 0.05)
SETTINGS = {"n_lines": 5, "wavelength": WAVELENGTH}


def copy_function(function):
    return FunctionType(function.__code__, globals(), function.__name__)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder in which fetch, clone, build and infer ran one after the other."""
    folder = tmp_path_factory.mktemp("work")
    library = folder / "library"
    write_library(library, **SETTINGS)
    star = make_stellar_grid(
        parameters=[[5150.0, 4.3, -0.2]], wavelength=WAVELENGTH, n_lines=5, random_state=1
    )
    rows = zip(WAVELENGTH / 10, star.spectra[0], strict=True)
    text = "".join(f"{wavelength:.7f},{flux:.9e}\n" for wavelength, flux in rows)
    (folder / "star.csv").write_text("wavelength,flux\n" + text)
    names = {name: str(folder / name) for name in ("grid.npz", "grid.lines", "model.skops")}
    with pytest.MonkeyPatch.context() as patch, serve(library) as server:
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("SKPHX_DATA", str(folder / "home"))
        commands = [
            ["fetch", names["grid.npz"], "--teff", "5000:5200", "--logg", "4,4.5"]
            + ["--feh", "-0.5:0", "--wavelength", "8500:8510", "--mirror", server.url, "--quiet"],
            ["fit-lines", names["grid.npz"], names["grid.lines"], "--quiet"],
            ["build", names["grid.npz"], names["model.skops"], "--archive", names["grid.lines"]]
            + ["--quiet"],
        ]
        for command in commands:
            assert main(command) == 0, command
    return folder


def run(*words):
    """Status of a command."""
    return main([str(word) for word in words])


def test_grid_that_was_fetched(work):
    grid = load_npz_grid(work / "grid.npz")
    assert grid.spectra.shape == (12, 200)
    assert grid.medium == "vacuum"
    assert grid.provenance["layout"] == "phoenix"
    assert len(grid.provenance["sha256"]) == 13
    assert grid.provenance["constants"] == {"alpha": 0.0}


def test_star_is_inferred(work, capsys):
    status = run(
        *("infer", work / "model.skops", work / "star.csv", "--medium", "vacuum"),
        *("--wavelength-unit", "nm", "--output", work / "results.csv"),
    )
    assert status == 0
    assert "teff" in capsys.readouterr().out
    with open(work / "results.csv") as file:
        (row,) = csv.DictReader(file)
    assert float(row["teff"]) == pytest.approx(5150, abs=30)
    assert float(row["logg"]) == pytest.approx(4.3, abs=0.1)
    assert float(row["feh"]) == pytest.approx(-0.2, abs=0.1)


def test_star_in_air_and_search_box(work):
    """Wavelengths are converted to the model's medium; a box holds the answer."""
    from skphx.observing import vacuum_to_air

    lines = (work / "star.csv").read_text().splitlines()
    columns = np.array([line.split(",") for line in lines[1:]], dtype=float)
    columns[:, 0] = vacuum_to_air(10 * columns[:, 0])
    np.savetxt(work / "air.txt", columns)
    status = run(
        *("infer", work / "model.skops", work / "air.txt", "--medium", "air"),
        *("--wavelength-unit", "Angstrom", "--output", work / "air.json"),
        *("--bounds", "teff=5100:5200"),
    )
    assert status == 0
    (star,) = json.loads((work / "air.json").read_text())["stars"]
    assert star["teff"] == pytest.approx(5150, abs=30)
    assert star["feh"] == pytest.approx(-0.2, abs=0.1)


def test_settings_kept_with_the_model_are_used(work, tmp_path):
    model = load_model(work / "model.skops")
    model.set_params(observation_model=ObservationModel(velocity=(-20.0, 20.0)))
    save_model(tmp_path / "kept.skops", model)
    star = (work / "star.csv", "--medium", "vacuum", "--wavelength-unit", "nm")
    for words, has_velocity in (((), True), (("--velocity", "0"), False)):
        output = tmp_path / "results.json"
        assert run("infer", tmp_path / "kept.skops", *star, "--output", output, *words) == 0
        (row,) = json.loads(output.read_text())["stars"]
        assert ("velocity" in row) == has_velocity


def write_columns(work, path, form="{:.7f} {:.9e} {:.9e}", title=""):
    """The star as a text of wavelength (nm), flux and error."""
    wavelength, flux = np.loadtxt(work / "star.csv", delimiter=",", skiprows=1).T
    sigma = np.linspace(0.019, 0.021, len(flux)) * np.median(flux)
    rows = zip(wavelength, flux, sigma, strict=True)
    path.write_text(title + "\n".join(form.format(*row) for row in rows) + "\n")
    return path


VACUUM = ("--medium", "vacuum", "--wavelength-unit", "nm")


def test_several_files_are_one_table_with_units_and_the_names_that_are_known(
    work, tmp_path, capsys
):
    table = Table.read(work / "star.csv")
    table.meta["OBJECT"] = "HD 1"
    table["flux"].unit = "erg / (s cm2 Angstrom)"
    table["wavelength"].unit = "nm"
    table.write(tmp_path / "named.fits")
    files = (work / "star.csv", tmp_path / "named.fits")
    for suffix in ("csv", "ecsv", "json"):
        output = tmp_path / f"results.{suffix}"
        assert run("infer", work / "model.skops", *files, *VACUUM, "--output", output) == 0
    shown = capsys.readouterr().out
    assert f"{files[1]} HD 1" in shown
    assert shown.count("chi²/n") == 3
    assert shown.count("star.csv") == 3
    with open(tmp_path / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(path) for path in files]
    assert [row["name"] for row in rows] == ["", "HD 1"]
    result = Table.read(tmp_path / "results.ecsv")
    assert list(result["name"].filled("")) == ["", "HD 1"]
    assert result["teff_error"].unit == "K"
    assert result["teff"][1] == pytest.approx(float(rows[1]["teff"]))
    assert result["chi2"][0] == pytest.approx(float(rows[0]["chi2"]))
    stars = json.loads((tmp_path / "results.json").read_text())["stars"]
    assert stars[1]["name"] == "HD 1"
    assert all(star["teff"] == pytest.approx(5150, abs=30) for star in stars)


def test_a_long_table_is_printed_whole(work, capsys):
    assert run("infer", work / "model.skops", *[work / "star.csv"] * 21, *VACUUM) == 0
    assert capsys.readouterr().out.count("star.csv") == 21


def test_columns_without_names(work, tmp_path, capsys):
    """A third column is not used, and a warning in one line names the option that uses it."""
    path = write_columns(work, tmp_path / "star.txt")
    command = ("infer", work / "model.skops", path, *VACUUM, "--output", tmp_path / "r.json")
    assert run(*command) == 0
    shown = capsys.readouterr()
    assert "(errors from the scatter)" in shown.out
    (warning,) = shown.err.splitlines()
    assert warning.startswith("skphx infer: warning: star.txt has a third column without a name")
    assert "pass --sigma 2 if it holds errors" in warning
    assert "UserWarning" not in warning
    assert run(*command, "--sigma", 2) == 0
    shown = capsys.readouterr()
    assert "(errors from the scatter)" not in shown.out
    assert shown.err == ""
    (star,) = json.loads((tmp_path / "r.json").read_text())["stars"]
    assert star["chi2"] < star["n_pixels"]
    assert star["teff"] == pytest.approx(5150, abs=30)


def test_names_and_numbers_of_arrays(work, tmp_path):
    """The same star, whichever options say what its columns are."""
    plain = ("--sigma", "2")
    named = ("--wavelength", "x", "--flux", "y", "--sigma", "z")
    ivar = ("--flux", "1", "--ivar", "2", "--mask", "3", "--mask-good", "0")
    write_columns(work, tmp_path / "plain.txt")
    write_columns(work, tmp_path / "named.csv", "{:.7f},{:.9e},{:.9e}", "x,y,z\n")
    rows = np.loadtxt(tmp_path / "plain.txt")
    rows = np.column_stack([rows[:, :2], rows[:, 2] ** -2, np.arange(len(rows)) == 107])
    rows[107, 1] *= 100  # the pixel that the mask excludes
    np.savetxt(tmp_path / "ivar.txt", rows)
    found = []
    for name, words in (("plain.txt", plain), ("named.csv", named), ("ivar.txt", ivar)):
        output = tmp_path / "r.json"
        command = ("infer", work / "model.skops", tmp_path / name, *VACUUM, *words)
        assert run(*command, "--output", output) == 0
        found += json.loads(output.read_text())["stars"]
    assert found[1] == {**found[0], "file": found[1]["file"]}
    assert found[2]["n_pixels"] == found[0]["n_pixels"] - 1
    assert found[2]["teff"] == pytest.approx(found[0]["teff"], abs=5.0)


def test_row_hdu_and_resolution(work, tmp_path, capsys):
    wavelength, flux, sigma = np.loadtxt(write_columns(work, tmp_path / "star.txt")).T
    wrong = Table({"wavelength": [wavelength], "flux": [flux[::-1]], "sigma": [sigma]})
    stars = Table({"wavelength": [wavelength] * 2, "flux": [flux[::-1], flux]})
    stars["sigma"] = [sigma, sigma]
    hdus = [fits.PrimaryHDU(), *(fits.table_to_hdu(table) for table in (wrong, stars))]
    fits.HDUList(hdus).writeto(tmp_path / "stars.fits")
    command = ("infer", work / "model.skops", tmp_path / "stars.fits", *VACUUM)
    assert run(*command) == 1
    assert "Pass --hdu with the number" in capsys.readouterr().err
    assert run(*command, "--hdu", 2) == 1
    assert "pass --row 0 to 1" in capsys.readouterr().err
    output = tmp_path / "r.json"
    words = ("--hdu", 2, "--row", 1, "--resolution", 20_000, "--output", output)
    assert run(*command, *words) == 0
    (star,) = json.loads(output.read_text())["stars"]
    assert star["feh"] == pytest.approx(-0.2, abs=0.25)
    assert run(*command, "--hdu", 2, "--row", -1, "--output", output) == 0
    (sharp,) = json.loads(output.read_text())["stars"]
    assert sharp["teff"] == pytest.approx(5150, abs=30)
    assert sharp["chi2"] < star["chi2"]


def test_resolution_is_fitted_in_a_range(work, tmp_path, capsys):
    command = ("infer", work / "model.skops", work / "star.csv", *VACUUM, "--resolution")
    assert run(*command, "20000:1000000", "--output", tmp_path / "r.json") == 0
    (star,) = json.loads((tmp_path / "r.json").read_text())["stars"]
    assert 2e4 <= star["resolution"] <= 1e6
    capsys.readouterr()
    assert run(*command, "20000,30000") == 1
    assert "--resolution must be a number or a range LOW:HIGH" in capsys.readouterr().err


def test_info_says_what_is_read_with_the_same_options(work, tmp_path, capsys):
    path = write_columns(work, tmp_path / "star.txt", "{0} 0.5 {1} {2}")
    assert run("info", path, *VACUUM) == 1
    assert "such as --wavelength 0, --flux 1, --sigma 2" in capsys.readouterr().err
    assert run("info", path, *VACUUM, "--flux", 2, "--sigma", 3) == 0
    assert "280 of 280 pixels usable" in capsys.readouterr().out


def test_a_warning_is_said_once(work, tmp_path, capsys):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text((work / "star.csv").read_text())
    words = (*VACUUM, "--bounds", "teff=4000:5200")
    assert run("infer", work / "model.skops", tmp_path / "a.csv", tmp_path / "b.csv", *words) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert "bounds go beyond the grid and are cut: teff" in warning


def test_medium_of_a_grid_that_does_not_state_it(work, tmp_path, capsys):
    grid = load_npz_grid(work / "grid.npz")
    columns = dict(zip(grid.parameter_names, grid.parameters.T, strict=True))
    path = tmp_path / "grid.npz"
    np.savez(path, wavelength=grid.wavelength, flux=grid.spectra, **columns)
    command = ("build", path, tmp_path / "m.skops", "--no-lines", "--quiet")
    assert run(*command) == 1
    assert "pass --medium air or --medium vacuum" in capsys.readouterr().err
    assert run(*command, "--medium", "air") == 0
    assert load_model(tmp_path / "m.skops").emulator_.medium == "air"
    words = ("fit-lines", path, tmp_path / "lines", "--medium", "vacuum", "--quiet")
    assert run(*words) == 0
    # What was said for the archive holds for the model.
    assert run(*command[:3], "--archive", tmp_path / "lines", "--quiet") == 0
    assert load_model(tmp_path / "m.skops").emulator_.medium == "vacuum"
    assert run("evaluate", path, "--no-lines", "--medium", "air", "--quiet") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pass row=0 to 3, hdu= or", "pass --row 0 to 3, --hdu or"),
        ("pass flux='Sci Flux'.", "pass --flux 'Sci Flux'."),
        ("unit: wavelength_unit='log10(Angstrom)'", "unit: --wavelength-unit 'log10(Angstrom)'"),
        ("pass mask_good, or wavelength_unit", "pass --mask-good, or --wavelength-unit"),
        ("(mask=True is bad)", "(mask=True is bad)"),
        ("make_stellar_estimator(..., medium='air')", "make_stellar_estimator(..., medium='air')"),
        ("set(a__medium='air') or medium='air'", "set(a__medium='air') or --medium air"),
        ("resolution=1e+05 is used.", "resolution=1e+05 is used."),
        ("use barycentric=False.", "leave --barycentric out."),
        ("file my_mask_good.fits", "file my_mask_good.fits"),
    ],
)  # fmt: skip
def test_arguments_in_messages_are_options(text, expected):
    known = {"row", "hdu", "flux", "wavelength_unit", "mask_good", "mask", "medium", "barycentric"}
    assert in_options(text, known) == expected
    assert in_options(text, ()) == text


def test_model_is_the_estimator(work):
    model = load_model(work / "model.skops")
    grid = load_npz_grid(work / "grid.npz")
    np.testing.assert_allclose(model.predict(grid.spectra[[5]])[0], grid.parameters[5], atol=1.0)


def test_build_took_the_clones_from_the_archive(work, tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise AssertionError("a spectrum was cloned again")

    for name in ("fit_unit", "spectrum_unit", "surface_unit", "measure_unit"):
        fail.__name__ = name  # the archive knows a fit by the name of its function
        monkeypatch.setattr(f"skphx.lines._passes.{name}", copy_function(fail))
    arguments = ("--archive", work / "grid.lines", "--quiet")
    assert run("build", work / "grid.npz", tmp_path / "again.skops", *arguments) == 0
    shown = capsys.readouterr().out
    assert "Model of 12 spectra saved to" in shown
    assert number_after("interpolation error of the flux:", shown) > 0
    assert number_after("Fit residual, rms: median", shown) > 0


def number_after(words, text):
    """The number that follows some words."""
    return float(text.split(words)[1].split()[0].rstrip(",."))


def test_without_lines_the_model_infers_the_same(work, tmp_path, no_fits, capsys):
    no_fits()
    path = tmp_path / "flux.skops"
    assert run("build", work / "grid.npz", path, "--no-lines", "--quiet") == 0
    shown = capsys.readouterr().out
    assert "Model of 12 spectra saved to" in shown
    assert 0 < number_after("interpolation error of the flux:", shown) < 0.01
    assert "Fit residual" not in shown
    model, with_lines = load_model(path), load_model(work / "model.skops")
    assert isinstance(model.emulator_, FluxEmulator)
    assert model.emulator_.medium == "vacuum"
    assert model.random_state == with_lines.random_state == 0
    grid = load_npz_grid(work / "grid.npz")
    np.testing.assert_allclose(
        model.predict(grid.spectra[4:6]), with_lines.predict(grid.spectra[4:6]), rtol=1e-6
    )
    words = ("--medium", "vacuum", "--wavelength-unit", "nm", "--output")
    rows = []
    for file, output in ((path, "flux.json"), (work / "model.skops", "lines.json")):
        assert run("infer", file, work / "star.csv", *words, tmp_path / output) == 0
        rows += json.loads((tmp_path / output).read_text())["stars"]
    for name in ("teff", "logg", "feh", "teff_error"):
        assert rows[0][name] == pytest.approx(rows[1][name], rel=1e-4)
    assert run("info", path) == 0
    assert "lines: False" in capsys.readouterr().out


def test_the_degree_of_the_continuum_is_the_models_unless_it_is_given(work, tmp_path):
    command = ["infer", work / "model.skops", work / "star.csv", "--medium", "vacuum"]
    command += ["--wavelength-unit", "nm", "--output", tmp_path / "r.json"]
    found = {}
    for degree in (None, 3, 0, -1):
        given = () if degree is None else ("--continuum-degree", degree)
        assert run(*command, *given) == 0
        (found[degree],) = json.loads((tmp_path / "r.json").read_text())["stars"]
    assert found[None] == found[3]
    assert len({star["teff"] for star in found.values()}) == 3


def test_info_of_everything(work, capsys):
    assert run("info", work / "grid.npz", work / "grid.lines", work / "model.skops") == 0
    shown = capsys.readouterr().out
    assert "Grid grid.npz" in shown
    assert "12 spectra of 200 pixels" in shown
    assert "teff: 3 values, 5000 to 5200" in shown
    assert "nodes fitted: 12 of 12" in shown
    assert "configuration: default" in shown
    assert "PHOENIX-ACES-AGSS-COND-2011" in shown.split("Model model.skops")[1]
    assert "estimator: StellarParameterEstimator" in shown
    assert "n_nodes: 12" in shown
    assert run("info", work / "home" / "phoenix") == 0
    assert "13 files" in capsys.readouterr().out
    assert run("info", work / "star.csv", "--medium", "air", "--wavelength-unit", "nm") == 0
    assert "280 of 280 pixels usable, 8498 to 8511.95 Å" in capsys.readouterr().out


def test_info_of_lines(work, tmp_path, capsys):
    archive = LineArchive(work / "grid.lines")
    archive.table().save(tmp_path / "lines.npz")
    (path,) = save_state_dicts(archive.table([0]), tmp_path)
    assert run("info", tmp_path / "lines.npz", path) == 0
    shown = capsys.readouterr().out
    assert "LineTable of 12 spectra" in shown
    assert "LineTable of 1 spectrum" in shown


def test_evaluate_stands_beside_pixels(work, capsys):
    assert run("evaluate", work / "grid.npz", "--infer", "--quiet") == 0
    shown = capsys.readouterr().out
    assert "4 left-out spectra" in shown
    rms = {
        line.rsplit(None, 1)[0].strip(): float(line.split()[-1])
        for line in shown.splitlines()
        if line.startswith(("  emulator", "  pixels"))
    }
    assert set(rms) == {"emulator", "pixels, linear", "pixels, cubic"}
    assert all(0 < value < 0.01 for value in rms.values())
    assert "mean abs" in shown
    # Without lines all of that is the same.
    assert run("evaluate", work / "grid.npz", "--infer", "--no-lines", "--quiet") == 0
    assert capsys.readouterr().out == shown


def test_pixels_of_evaluate_are_what_one_would_write(work):
    from skphx.cli._emulate import make_estimator
    from skphx.cli._evaluate import evaluate
    from skphx.model_selection import LeavePlaneOut

    grid = load_npz_grid(work / "grid.npz")
    level = grid.spectra.max(axis=1, keepdims=True)
    grid.spectra = grid.spectra / level
    settings = {"configuration": "default", "normalized": True, "interpolation": "linear"}
    splitter = LeavePlaneOut("teff", parameter_names=grid.parameter_names)
    table = evaluate(grid, splitter, make_estimator(grid, settings))
    cube = grid.spectra.reshape(3, 4, -1)
    middle = 0.5 * (cube[0] + cube[2])
    expected = np.sqrt(np.mean((middle - cube[1]) ** 2, axis=1)).mean()
    assert table["flux_rms"]["pixels, linear"] == pytest.approx(expected, rel=1e-9)
    assert table["n_spectra"] == 4
    assert table["parameters"] is None


@pytest.mark.parametrize(
    "command", ["fetch", "fit-lines", "build", "infer", "evaluate", "info", ""]
)
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.count(f"skphx {command}".strip()) >= 2  # usage, and an example at least


def test_as_a_process(work):
    command = [sys.executable, "-m", "skphx", "info", str(work / "grid.npz")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Grid grid.npz" in done.stdout
    command[-1] = str(work / "absent")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("skphx info: error: There is no file")
    assert "Traceback" not in done.stderr


def test_script_is_declared():
    from importlib import import_module
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["skphx"].partition(":")
    assert getattr(import_module(module), function) is main


# What it says when it cannot


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch", "grid.fits"], "must end in .npz or .h5"),
        (["fetch", "g.npz", "--mirror", "ftp://x/y"], "must be an http or https address"),
        (["fetch", "g.npz", "--teff", "5050"], "teff=5050 is not a grid node"),
        (["fetch", "g.npz", "--medium", "air"], "are in vacuum; leave --medium out"),
        (["fetch", "g.npz", "--library", "mist"], "there is no grid 'mist'"),
        (["fetch", "g.npz", "--from", "nowhere"], "folder nowhere does not exist"),
        (["fit-lines", "absent.npz", "a"], "There is no file absent.npz"),
        (["build", "{grid}", "model.pkl"], "must end in .skops"),
        (["infer", "{grid}", "{star}"], "is not a model file of skphx"),
        (["infer", "{model}", "absent.csv"], "error: There is no file absent.csv"),
        (
            ["infer", "{model}", "{star}"],
            "star.csv does not say the unit of its wavelengths: pass --wavelength-unit",
        ),
        (
            ["infer", "{model}", "{star}", "--wavelength-unit", "nm"],
            "pass --medium air or --medium",
        ),
        (
            ["infer", "{model}", "{star}", "--wavelength-unit", "Angstrom", "--medium", "air"],
            "look like nm: pass the right --wavelength-unit",
        ),
        (["infer", "{model}", "{star}", "--flux", "f"], "has no column 'f' for --flux, only"),
        (["infer", "{model}", "{star}", "--sigma", "1", "--ivar", "1"], "give one of sigma, var"),
        (["infer", "{model}", "{star}", "--hdu", "1"], "is text and has no HDUs; leave --hdu out"),
        (["infer", "{model}", "{star}", "--output", "x.txt"], "must end in .csv, .ecsv or .json"),
        (["info", "{star}", "--wavelength-unit", "kg"], "pass --wavelength-unit Angstrom"),
        (["infer", "{model}", "{star}", "--bounds", "mass=1:2"], "model are teff, logg, feh"),
        (["infer", "{model}", "{star}", "--bounds", "teff=5000"], "must be a range LOW:HIGH"),
        (["evaluate", "{grid}", "--split", "interior", "--parameter", "teff"], "leave it out"),
        (["build", "{grid}", "m.skops", "--no-lines", "--archive", "a"], "not both: an archive"),
        (["build", "{grid}", "m.skops", "--no-lines", "--configuration", "paper"], "sums lines"),
        (["evaluate", "{grid}", "--no-lines", "--configuration", "paper"], "sums lines"),
        (["info", "{home}"], "without a manifest.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors_are_one_clear_line(work, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKPHX_DATA", str(tmp_path / "data"))
    names = {"grid": "grid.npz", "star": "star.csv", "model": "model.skops", "home": "home"}
    paths = {name: str(work / file) for name, file in names.items()}
    assert main([word.format(**paths) for word in words]) == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert f"skphx {words[0]}: error: " in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) == 1


def test_abundances_of_a_model_with_names(tmp_path, capsys):
    named = name_lines(flux_emulator(), LINE_LIST)
    model, star, output = (tmp_path / name for name in ("m.skops", "star.csv", "o.json"))
    save_model(model, StellarParameterEstimator.from_emulator(named, random_state=0))
    wavelength, (flux,) = named.wavelength_, spectra([[5400.0, 4.2, -0.2]], {"Ca": 0.2})
    flux = flux + np.random.default_rng(0).normal(0.0, 0.005, len(flux))
    columns = np.column_stack([wavelength, flux, np.full(len(flux), 0.005)])
    np.savetxt(star, columns, delimiter=",", header="wavelength,flux,sigma", comments="")
    command = ("infer", model, star, "--medium", "air", "--wavelength-unit", "Angstrom")
    wanted = ("--abundances", "Ca,Ba", "--bounds", "ca_fe=-0.4:0.4", "--output", output)
    assert run(*command, *wanted) == 0
    assert "undetermined (ba_fe)" in capsys.readouterr().out
    (found,) = json.loads(output.read_text())["stars"]
    assert abs(found["ca_fe"] - 0.2) < 3.0 * found["ca_fe_error"]
    assert found["ba_fe"] is None
    assert found["ba_fe_error"] is None
    assert run(*command, "--abundances", "Ca", "--bounds", "si_fe=-0.4:0.4") == 1
    assert "--bounds si_fe" in capsys.readouterr().err


def test_a_model_that_infers_nothing(tmp_path, capsys):
    save_model(tmp_path / "s.skops", PercentileNormalizer().fit(np.ones((2, 3))))
    assert run("infer", tmp_path / "s.skops", "star.csv") == 1
    assert "holds a PercentileNormalizer, which infers nothing" in capsys.readouterr().err


def test_options_that_do_not_exist_have_status_2(capsys):
    for words in (
        ["--row", "first"],
        ["--mask-good", "2"],
        ["--medium", "water"],
        ["--star", "1"],
    ):
        with pytest.raises(SystemExit) as end:
            run("infer", "model.skops", "star.csv", *words)
        assert end.value.code == 2


def test_values_that_cannot_be_read(capsys):
    for words in (["--teff", "hot"], ["--wavelength", "5000"], ["--select", "alpha"]):
        with pytest.raises(SystemExit):
            main(["fetch", "g.npz", *words])
    assert "neither a value (4500), a range" in capsys.readouterr().err


def test_bad_spectrum_is_named_and_the_others_are_done(work, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,4\n")
    status = run(
        *("infer", work / "model.skops", tmp_path / "bad.csv", work / "star.csv"),
        *("--medium", "vacuum", "--wavelength-unit", "nm", "--output", tmp_path / "r.csv"),
    )
    assert status == 1
    assert "1 of 2 spectra" in (error := capsys.readouterr().err)
    assert f"\n  {tmp_path / 'bad.csv'} has no columns of wavelength and flux" in error
    assert "pass --wavelength, --flux and --sigma with the names" in error
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 2


def test_missing_nodes_are_a_line_on_the_standard_error(work, tmp_path, capsys):
    words = ["fetch", str(tmp_path / "g.npz"), "--from", str(work / "library"), "--quiet"]
    assert main(words) == 0
    next((work / "library").rglob("lte05100-4.00-0.5*")).rename(tmp_path / "moved")
    assert main(words) == 0
    assert "skphx fetch: warning: 1 of 12 nodes are missing" in capsys.readouterr().err
    assert main([*words, "--on-missing", "raise"]) == 1
    (tmp_path / "moved").rename(
        next((work / "library").rglob("lte05100-4.50-0.5*")).parent
        / "lte05100-4.00-0.5.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
    )


def test_archive_of_another_grid_is_refused_and_stays_what_it_was(work, tmp_path, capsys):
    other = make_stellar_grid(teff=(5000, 5500), logg=(4, 4.5), feh=(-0.5, 0), n_pixels=100)
    save_npz_grid(tmp_path / "other.npz", other)
    before = (work / "grid.lines" / "provenance.json").read_text()
    assert run("fit-lines", tmp_path / "other.npz", work / "grid.lines", "--quiet") == 1
    assert "cannot be continued" in capsys.readouterr().err
    assert (work / "grid.lines" / "provenance.json").read_text() == before


# Files that hold code


class _Code:
    def __reduce__(self):
        return print, ("this ran",)


def test_state_dictionary_that_holds_code(tmp_path, capsys):
    torch.save({"lam_centers": _Code()}, tmp_path / "evil.pt")
    assert run("info", tmp_path / "evil.pt") == 1
    shown = capsys.readouterr()
    assert "this ran" not in shown.out + shown.err
    (tmp_path / "evil2.pt").write_bytes(pickle.dumps(_Code()))
    assert run("info", tmp_path / "evil2.pt") == 1
    with pytest.raises(ValueError, match=r"evil2?\.pt"):
        read_state_dicts(tmp_path)
    shown = capsys.readouterr()
    assert "this ran" not in shown.out + shown.err


def with_provenance(path):
    """Make a file of skops look like one of ours."""
    with zipfile.ZipFile(path, "a") as archive:
        content = {"format": "skphx model", "version": 1, "made_of": {}}
        archive.writestr("provenance.json", json.dumps(content))


def test_model_that_holds_code(work, tmp_path, capsys):
    model = PercentileNormalizer().fit(np.ones((2, 3)))
    model.scale_ = _Code()
    skops.io.dump(model, tmp_path / "evil.skops")
    with_provenance(tmp_path / "evil.skops")
    with pytest.raises(ValueError, match="which is not part of skphx, and is not loaded"):
        load_model(tmp_path / "evil.skops")
    assert run("infer", tmp_path / "evil.skops", work / "star.csv") == 1
    shown = capsys.readouterr()
    assert "this ran" not in shown.out + shown.err


@pytest.mark.parametrize(
    "name", ["skphx._atomic_write.write_atomically", "skphx.absent.Thing", "os.system"]
)
def test_only_classes_of_ours_are_trusted(name):
    from skphx._persistence import _is_class_of_ours

    assert not _is_class_of_ours(name)
    assert _is_class_of_ours("skphx.preprocessing._percentile.PercentileNormalizer")
    # A class that one of our modules merely imports is not ours.
    assert not _is_class_of_ours("skphx.preprocessing._percentile.BaseEstimator")


def test_model_files(tmp_path):
    scaler = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
    path = save_model(tmp_path / "s.skops", scaler, provenance={"grid": "mine"})
    np.testing.assert_array_equal(load_model(path).mean_, scaler.mean_)
    with pytest.raises(ValueError, match=r"must end in .skops"):
        save_model(tmp_path / "s.joblib", scaler)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.skops")
    content = path.read_bytes()
    for damaged in (content[:-50], b"", b"PK", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is not a model file of skphx"):
            load_model(path)
    skops.io.dump(scaler, path)
    with zipfile.ZipFile(path, "a") as archive:
        content = {"format": "skphx model", "version": 99}
        archive.writestr("provenance.json", json.dumps(content))
    with pytest.raises(ValueError, match="has version 99 of the format"):
        load_model(path)
