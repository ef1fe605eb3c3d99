"""Files of grids, models and line lists: compressed, in folders of any name, given in any way."""

import bz2
import csv
import gzip
import lzma
import os
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skphx import PercentileNormalizer, VoigtCloner, load_model, save_model
from skphx.cli import main
from skphx.datasets import (
    GridLayout,
    get_data_home,
    grid_from_arrays,
    load_grid,
    load_hdf5_grid,
    load_npz_grid,
    load_phoenix,
    load_table_grid,
    save_hdf5_grid,
    save_npz_grid,
)
from skphx.datasets._other_layouts import bosz_path
from skphx.lines import LineArchive, LineTable
from skphx.species import read_vald

LIBRARY = "PHOENIX-ACES-AGSS-COND-2011"
WAVELENGTH = np.linspace(8500.0, 8510.0, 21)
OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SUFFIXES = ("", *OPENERS)
QUICK = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def compress(path, suffix):
    """Replace a file by its compressed version; return the new path."""
    if not suffix:
        return path
    packed = Path(f"{path}{suffix}")
    with OPENERS[suffix](packed, "wb") as file:
        file.write(path.read_bytes())
    path.unlink()
    return packed


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a blank and letters beyond ASCII in its name."""
    folder = tmp_path / "mes étoiles λ"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


def ways_to(path, home, monkeypatch):
    """The same path as text, Path, bytes, relative, and from the home folder."""
    monkeypatch.chdir(path.parent)
    relative = path.relative_to(home)
    return [str(path), path, os.fsencode(path), path.name, f"~/{relative.as_posix()}"]


def made_grid(flux=None):
    parameters = [[5000, 4.5, 0.0], [6000, 4.5, 0.0]]
    spectra = np.linspace(0.5, 1.0, 42).reshape(2, 21) if flux is None else flux
    return grid_from_arrays(spectra, parameters, WAVELENGTH, medium="vacuum")


# Any way to give a path --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("name", "save", "load"),
    [("g.npz", save_npz_grid, load_npz_grid), ("g.h5", save_hdf5_grid, load_hdf5_grid)],
)
def test_grids_in_one_file(home, monkeypatch, suffix, name, save, load):
    grid = made_grid()
    saved = save(f"~/{name}", grid)
    assert saved == home / name
    for way in ways_to(compress(saved, suffix), home, monkeypatch):
        again = load(way)
        np.testing.assert_array_equal(again.spectra, grid.spectra)
        np.testing.assert_array_equal(again.parameters, grid.parameters)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_models(home, monkeypatch, suffix):
    saved = save_model("~/m.skops", PercentileNormalizer(percentile=90).fit(np.ones((2, 5))))
    assert saved == home / "m.skops"
    for way in ways_to(compress(saved, suffix), home, monkeypatch):
        assert load_model(way).percentile == 90


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables_of_lines(home, monkeypatch, suffix):
    lines = np.array([[[8501.0, -2.0, -3.0, -3.0]]])
    LineTable.from_dense(lines).save("~/lines.npz")
    for way in ways_to(compress(home / "lines.npz", suffix), home, monkeypatch):
        assert LineTable.load(way).center == [8501.0]
    with pytest.raises(FileNotFoundError, match="There is no file"):
        LineTable.load("~/absent.npz")
    (home / "text.npz").write_text("no table")
    with pytest.raises(ValueError, match="is not a table of lines, or is cut short"):
        LineTable.load("~/text.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_line_lists(home, monkeypatch, suffix):
    path = home / "vald.txt"
    path.write_text(
        "Spec Ion  WL_air(A)  Excit(eV) Vmic log gf*  Rad.  Stark  Waals  factor  depth\n"
        "'Ca 2', 8498.0230, 1.6924, 1.0, -1.416, 8.210,-5.700,-7.676, 1.070, 0.750, 'a paper'\n"
    )
    for way in ways_to(compress(path, suffix), home, monkeypatch):
        assert read_vald(way).wavelength.tolist() == [8498.023]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_state_dictionaries(home, monkeypatch, suffix):
    pytest.importorskip("torch")
    from skphx.paper import read_state_dicts, save_state_dicts

    table = LineTable.from_dense(np.array([[[8501.0, -2.0, -3.0, -3.0]]] * 2))
    for path in save_state_dicts(table, "~/pt"):
        assert path.parent == home / "pt"
        packed = compress(path, suffix)
    for way in ways_to(packed, home, monkeypatch)[:2]:
        assert read_state_dicts(way).center == [8501.0]
    assert read_state_dicts("~/pt").n_spectra == 2
    (home / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \.pt file in .*, which holds nothing"):
        read_state_dicts("~/empty")


def test_archives_and_caches(home):
    X = np.ones((1, 21))
    VoigtCloner(WAVELENGTH, archive="~/lines", memory="~/cache", max_iter=1).fit_transform(X)
    assert LineArchive("~/lines").path == home / "lines"
    assert (home / "cache").is_dir()
    table = LineArchive("~/lines").table()
    assert LineArchive.from_table("~/copy", table).path == home / "copy"
    assert get_data_home("~/data") == home / "data"


def test_commands(home, monkeypatch, capsys):
    monkeypatch.chdir(home.parent)
    rng = np.random.default_rng(0)
    grid = made_grid(1.0 - 0.1 * rng.random((2, 21)))
    compress(save_npz_grid("~/g.npz", grid), ".gz")
    compress(save_hdf5_grid("~/g.h5", grid), ".xz")
    for name in ("~/g.npz.gz", "~/g.h5.xz"):
        assert main(["info", name]) == 0
        assert "2 spectra of 21 pixels" in capsys.readouterr().out
    assert main(["build", "~/g.h5.xz", "~/m.skops", "--no-lines", "--normalized", "--quiet"]) == 0
    assert (home / "m.skops").is_file()
    star = home / "star.csv"
    pd.DataFrame({"wavelength": WAVELENGTH, "flux": grid.spectra[0]}).to_csv(star, index=False)
    options = ["--medium", "vacuum", "--wavelength-unit", "Angstrom", "--continuum-degree", "0"]
    assert main(["infer", "~/m.skops", str(star), "--output", "~/r.csv", *options]) == 0
    assert (home / "r.csv").is_file()
    assert main(["info", "~/m.skops"]) == 0


def test_a_path_that_is_not_there(tmp_path):
    for load in (load_npz_grid, load_hdf5_grid, load_model, load_table_grid, read_vald):
        with pytest.raises(FileNotFoundError, match=r"There is no file .*absent"):
            load(tmp_path / "absent.npz")
        with pytest.raises(FileNotFoundError, match="it is a folder"):
            load(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no file ~nobody-of-this-name"):
        load_npz_grid("~nobody-of-this-name/grid.npz")


@pytest.mark.parametrize("suffix", OPENERS)
def test_cut_short(tmp_path, suffix):
    whole = compress(save_npz_grid(tmp_path / "g.npz", made_grid()), suffix).read_bytes()
    short = tmp_path / f"short.npz{suffix}"
    short.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"short\.npz.*it is compressed, and damaged or cut"):
        load_npz_grid(short)
    text = tmp_path / f"vald{suffix}"
    text.write_bytes(whole[:60])
    with pytest.raises(ValueError, match=r"vald.*is compressed, and damaged or cut short"):
        read_vald(text)


# PHOENIX -----------------------------------------------------------------------------------


def write_phoenix(folder, suffixes=("", ""), wave=""):
    fits.PrimaryHDU(WAVELENGTH).writeto(folder / f"WAVE_{LIBRARY}.fits")
    compress(folder / f"WAVE_{LIBRARY}.fits", wave)
    for teff, suffix in zip((5000, 5100), suffixes, strict=True):
        path = folder / f"lte{teff:05d}-4.50-0.0.{LIBRARY}-HiRes.fits"
        fits.PrimaryHDU(np.linspace(teff, 1e4, 21, dtype=np.float32)).writeto(path)
        compress(path, suffix)


@pytest.mark.parametrize("wave", SUFFIXES)
@pytest.mark.parametrize("suffixes", [(".gz", ".gz"), (".bz2", ".xz"), ("", ".gz")])
def test_phoenix(home, monkeypatch, suffixes, wave):
    (home / "HiRes").mkdir()
    write_phoenix(home / "HiRes", suffixes, wave)
    for way in ways_to(home / "HiRes", home, monkeypatch):
        grid = load_phoenix(way)
        np.testing.assert_array_equal(grid.parameters[:, 0], [5000, 5100])
        np.testing.assert_allclose(grid.spectra[:, 0], [5000, 5100])
        np.testing.assert_allclose(grid.wavelength, WAVELENGTH)


def test_a_folder_without_the_files_says_what_it_holds(tmp_path):
    with pytest.raises(FileNotFoundError, match="which holds no file; the names"):
        load_phoenix(tmp_path)
    (tmp_path / "PHOENIX_Z-0.0.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"one file: PHOENIX_Z-0\.0\.zip.*Unpack"):
        load_phoenix(tmp_path)
    write_phoenix(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"2 files of the grid phoenix.*none in the range"):
        load_phoenix(tmp_path, teff=(7000, 8000))
    with pytest.raises(FileNotFoundError, match="is a file; give the folder"):
        load_phoenix(tmp_path / "PHOENIX_Z-0.0.zip")


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_damaged_file_of_phoenix_is_named(tmp_path, suffix):
    write_phoenix(tmp_path, (suffix, suffix))
    bad = next(tmp_path.glob(f"lte05000*{suffix}"))
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"1 of 2 files cannot be used:\s+lte05000"):
        load_phoenix(tmp_path)


def test_ranges_may_have_units(tmp_path):
    write_phoenix(tmp_path)
    for teff in (5.0 * u.kK, (4 * u.kK, 5050 * u.K), [5000] * u.K, [5.0 * u.kK]):
        grid = load_phoenix(tmp_path, teff=teff, wavelength=(850.1 * u.nm, 8505 * u.AA))
        np.testing.assert_array_equal(grid.parameters[:, 0], [5000])
        assert (grid.wavelength[0], grid.wavelength[-1]) == (8501.0, 8505.0)
    with pytest.raises(ValueError, match=r"teff must be in K.*got Angstrom"):
        load_phoenix(tmp_path, teff=5000 * u.AA)
    with pytest.raises(ValueError, match="wavelength must have a unit of length, got K"):
        load_phoenix(tmp_path, wavelength=(5 * u.K, 6 * u.K))


# Other libraries ---------------------------------------------------------------------------


def write_other(name, folder, suffix):
    """Two spectra of a library, each its own; return their first flux."""
    folder.mkdir(exist_ok=True)
    for teff in (4000, 5000):
        flux = np.linspace(teff, 1e4, 21)
        columns = np.column_stack([WAVELENGTH, flux])
        if name == "bt-settl":
            path = folder / f"lte0{teff // 100}.0-4.5-0.0a+0.0.BT-Settl.spec.7"
            np.savetxt(path, np.column_stack([WAVELENGTH, np.log10(flux)]), fmt="%.10f")
        elif name == "sonora-bobcat":
            path = folder / f"sp_t{teff}g100nc_m0.0"
            np.savetxt(path, columns * [1e-4, 1.0], header="a\nb", comments="")
        elif name == "cooltlusty":
            path = folder / f"T{teff}_g4.50_Z1.000.21"
            header = "LAMBDA(mic) FLAM"
            np.savetxt(path, columns * [1e-4, 1e-8], header=header, comments="")
        elif name == "bosz":
            node = {"teff": teff, "logg": 4.5, "feh": 0, "alpha": 0, "carbon": 0}
            path = folder / Path(bosz_path(node | {"microturbulence": 2})).stem
            np.savetxt(path, np.column_stack([flux, flux]))
        else:
            path = folder / f"ckp00_{teff}.fits"
            Table({"WAVELENGTH": WAVELENGTH, "g45": flux * 1e-8}).write(path)
        compress(path, suffix)
    if name == "bosz":
        (folder / "wavelength_grids").mkdir()
        axis = folder / "wavelength_grids" / "bosz2024_wave_r50000.txt"
        np.savetxt(axis, WAVELENGTH)
        compress(axis, suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["bt-settl", "sonora-bobcat", "cooltlusty", "bosz", "atlas9", "own"]
)
def test_other_libraries(home, name, suffix):
    layout, medium = name, "air"
    if name == "own":
        layout = GridLayout(
            "own", r"t(?P<teff>\d+)_(?P<logg>\d\.\d)_(?P<feh>\d)\.txt",
            read=lambda path: np.loadtxt(path).T, flux_unit=None,
        )  # fmt: skip
        (home / "lib").mkdir()
        for teff in (4000, 5000):
            path = home / "lib" / f"t{teff}_4.5_0.txt"
            np.savetxt(path, np.column_stack([WAVELENGTH, np.linspace(teff, 1e4, 21)]))
            compress(path, suffix)
    else:
        write_other(name, home / "lib", suffix)
    grid = load_grid(layout, "~/lib", medium=medium)
    np.testing.assert_allclose(grid.wavelength, WAVELENGTH, rtol=1e-9)
    np.testing.assert_array_equal(grid.parameters[:, 0], [4000, 5000])
    assert grid.spectra[1, 0] / grid.spectra[0, 0] == pytest.approx(1.25)


def test_a_reader_may_return_quantities(tmp_path):
    (tmp_path / "t5000_4.5_0.txt").touch()
    settings = {"pattern": r"t(?P<teff>\d+)_(?P<logg>\d\.\d)_(?P<feh>\d)\.txt", "medium": "air"}
    flux = np.full(21, 2.0)

    def grid_of(flux, **changes):
        read = lambda path: (WAVELENGTH * u.AA.to(u.nm) * u.nm, flux)  # noqa: E731
        return load_grid(GridLayout("own", **(settings | {"read": read} | changes)), tmp_path)

    grid = grid_of(flux * u.Unit("erg/(s cm2 AA)"))
    np.testing.assert_allclose(grid.wavelength, WAVELENGTH)
    np.testing.assert_allclose(grid.spectra, 2e8)  # per cm, as the layout says
    jansky = grid_of(flux * u.Jy)
    expected = (flux * u.Jy).to(u.Unit("erg/(s cm2 cm)"), u.spectral_density(WAVELENGTH * u.AA))
    np.testing.assert_allclose(jansky.spectra[0], expected.value)
    with pytest.raises(ValueError, match="flux_unit of the layout is None"):
        grid_of(flux * u.Jy, flux_unit=None)
    with pytest.raises(ValueError, match="its flux must hold flux at every pixel, but 1 of"):
        grid_of(np.ma.array(flux, mask=np.arange(21) == 3))


# Tables of files ---------------------------------------------------------------------------


def write_table_files(folder, *, unit=None):
    """Two spectra in files with units; the rows of their table."""
    for teff in (5000, 6000):
        flux = np.linspace(0.5, teff / 1e4, 21)
        path = folder / f"t {teff}.ecsv"
        one = unit or u.Unit("erg/(s cm2 AA)")
        QTable({"wavelength": WAVELENGTH * u.AA, "flux": flux * one}).write(path)
    return {"file": ["t 5000.ecsv", "t 6000.ecsv"], "teff": [5000.0, 6000.0],
            "logg": [4.5, 4.5], "feh": [0.0, 0.0]}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["csv", "ecsv"])
def test_tables_of_files(home, monkeypatch, kind, suffix):
    rows = write_table_files(home)
    path = home / f"grid.{kind}"
    if kind == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        QTable(rows | {"teff": [5.0, 6.0] * u.kK}).write(path)
    for way in ways_to(compress(path, suffix), home, monkeypatch):
        grid = load_table_grid(way, medium="air")
        assert grid.parameters[:, 0].tolist() == [5000.0, 6000.0]
        np.testing.assert_allclose(grid.spectra[:, -1], [0.5, 0.6])
        assert grid.units["spectra"] == "erg / (Angstrom s cm2)"


@pytest.mark.parametrize("make", [dict, pd.DataFrame, Table, lambda rows: Table(rows).as_array()])
def test_tables_in_memory(home, make):
    rows = write_table_files(home)
    grid = load_table_grid(make(rows), folder="~", medium="air")
    assert grid.parameters[:, 0].tolist() == [5000.0, 6000.0]
    with pytest.raises(ValueError, match="a table in memory needs folder"):
        load_table_grid(make(rows), medium="air")


def test_files_of_a_table_in_several_units(tmp_path):
    rows = write_table_files(tmp_path)
    path = tmp_path / "t 6000.ecsv"
    flux = np.linspace(0.5, 0.6, 21)
    # The same flux in another unit.
    one = QTable({"wavelength": WAVELENGTH / 10 * u.nm, "flux": flux * u.Unit("erg/(s cm2 AA)")})
    one["flux"] = one["flux"].to(u.Unit("W/(m2 um)"))
    one.write(path, overwrite=True)
    grid = load_table_grid(rows, folder=tmp_path, medium="air")
    np.testing.assert_allclose(grid.spectra[:, -1], [0.5, 0.6])
    QTable({"wavelength": WAVELENGTH * u.AA, "flux": flux}).write(path, overwrite=True)
    with pytest.raises(ValueError, match="unit of its flux is not given, and that of the files"):
        load_table_grid(rows, folder=tmp_path, medium="air")


# What a file holds -------------------------------------------------------------------------


def test_units_in_files(tmp_path):
    grid = made_grid()
    with h5py.File(save_hdf5_grid(tmp_path / "g.h5", grid), "r+") as file:
        file["wavelength"][:] = WAVELENGTH / 10
        file["wavelength"].attrs["unit"] = "nm"
        file["flux"].attrs["units"] = "Jy"
        file["teff"][:] = file["teff"][:] / 1e3
        file["teff"].attrs["unit"] = "kK"
    again = load_hdf5_grid(tmp_path / "g.h5", wavelength_range=(850.2 * u.nm, 8504 * u.AA))
    np.testing.assert_allclose(again.wavelength, WAVELENGTH[4:9])
    np.testing.assert_allclose(again.parameters, grid.parameters)
    expected = (grid.spectra * u.Jy).to(
        u.Unit("erg/(s cm2 cm)"), u.spectral_density(WAVELENGTH * u.AA)
    )
    np.testing.assert_allclose(again.spectra, expected.value[:, 4:9])
    assert again.units["spectra"] == "erg / (cm2 s cm)"
    assert load_hdf5_grid(tmp_path / "g.h5", dtype="float32").spectra.dtype == np.float32

    with np.load(save_npz_grid(tmp_path / "g.npz", grid)) as file:
        arrays = dict(file) | {"wavelength": WAVELENGTH / 1e4, "wavelength_unit": "um"}
    np.savez(tmp_path / "g.npz", **arrays)
    np.testing.assert_allclose(load_npz_grid(tmp_path / "g.npz").wavelength, WAVELENGTH)
    np.savez(tmp_path / "g.npz", **(arrays | {"wavelength_unit": "furlongs"}))
    with pytest.raises(ValueError, match=r"wavelength_unit of g\.npz is 'furlongs', which is no"):
        load_npz_grid(tmp_path / "g.npz")


@pytest.mark.parametrize(
    ("name", "save", "load"),
    [("g.npz", save_npz_grid, load_npz_grid), ("g.h5", save_hdf5_grid, load_hdf5_grid)],
)
def test_damaged_grids_are_refused(tmp_path, name, save, load):
    path = save(tmp_path / name, made_grid())
    content = path.read_bytes()
    messages = []
    for place in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:place] + b"\xa5" * 12 + content[place + 12 :])
        try:
            load(path)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(name in message for message in messages)


@pytest.mark.parametrize("load", [load_npz_grid, load_hdf5_grid])
@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (-1.0, "negative")]
)
def test_bad_pixels_in_files(tmp_path, load, value, message):
    grid = made_grid()
    name = tmp_path / ("g.npz" if load is load_npz_grid else "g.h5")
    save = save_npz_grid if load is load_npz_grid else save_hdf5_grid
    save(name, grid)
    bad = grid.spectra.copy()
    bad[1, 7] = value
    with pytest.raises(ValueError, match=rf"spectrum 1 of grid\.spectra: 1 of 21.*{message}"):
        save(name, grid | {"spectra": bad})
    if load is load_npz_grid:
        with np.load(name) as file:
            arrays = dict(file)
        np.savez(name, **(arrays | {"flux": bad}))
    else:
        with h5py.File(name, "r+") as file:
            file["flux"][:] = bad
    with pytest.raises(ValueError, match=rf"spectrum 1 of g\..*{message}.*8503\.50 Å \(pixel 7\)"):
        load(name)


# Any valid grid, in any format ---------------------------------------------------------------

NAMES = st.sampled_from(["a b", "étoile λ", "100%", "[x]", "a'b", "#1", "~", "x;y", "-0.5"])


@st.composite
def grids(draw):
    """A grid of any valid wavelengths, nodes and flux."""
    n_pixels = draw(st.integers(2, 9))
    steps = draw(st.lists(st.floats(1e-3, 50.0), min_size=n_pixels, max_size=n_pixels))
    wavelength = 3000.0 + np.cumsum(steps)
    teff = draw(st.lists(st.integers(25, 119), min_size=1, max_size=4, unique=True))
    nodes = np.array([[100.0 * one, 4.5, 0.0] for one in sorted(teff)])
    flux = st.lists(st.floats(1e-3, 1e3), min_size=n_pixels, max_size=n_pixels)
    spectra = np.array([draw(flux) for _ in nodes])
    return wavelength, nodes, spectra


def write_and_load(kind, folder, suffix, wavelength, nodes, spectra):
    """Write a grid in one format, and load it."""
    grid = grid_from_arrays(spectra, nodes, wavelength, medium="vacuum")
    if kind in ("npz", "h5"):
        save, load = {
            "npz": (save_npz_grid, load_npz_grid),
            "h5": (save_hdf5_grid, load_hdf5_grid),
        }[kind]
        return load(compress(save(folder / f"g.{kind}", grid), suffix))
    if kind == "phoenix":
        fits.PrimaryHDU(wavelength).writeto(folder / f"WAVE_{LIBRARY}.fits")
        compress(folder / f"WAVE_{LIBRARY}.fits", suffix)
    paths = []
    for (teff, *_), flux in zip(nodes, spectra, strict=True):
        columns = np.column_stack([wavelength, flux])
        if kind == "phoenix":
            path = folder / f"lte{int(teff):05d}-4.50-0.0.{LIBRARY}-HiRes.fits"
            fits.PrimaryHDU(flux).writeto(path)
        elif kind == "bt-settl":
            path = folder / f"lte{int(teff) // 100:03d}-4.5-0.0a+0.0.BT-Settl.spec.7"
            np.savetxt(path, np.column_stack([wavelength, np.log10(flux)]), fmt="%.17g")
        elif kind == "cooltlusty":
            path = folder / f"T{int(teff)}_g4.50_Z1.000.21"
            header = "LAMBDA(mic) FLAM"
            np.savetxt(path, columns * [1e-4, 1e-8], header=header, comments="", fmt="%.17g")
        else:
            path = folder / f"{int(teff)}.txt"
            np.savetxt(path, columns, fmt="%.17g")
        # Text of load_spectrum is tested with load_spectrum.
        paths.append(compress(path, "" if kind == "table" else suffix))
    if kind != "table":
        medium = None if kind == "phoenix" else "vacuum"
        return load_grid(kind, folder, medium=medium, on_missing="ignore")
    table = folder / "grid.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "teff", "logg", "feh"])
        writer.writerows([path.name, *node] for path, node in zip(paths, nodes, strict=True))
    table = compress(table, suffix)
    return load_table_grid(table, medium="vacuum", wavelength_unit="Angstrom")


@pytest.mark.parametrize("kind", ["npz", "h5", "phoenix", "bt-settl", "cooltlusty", "table"])
@given(grid=grids(), suffix=st.sampled_from(SUFFIXES), name=NAMES)
@QUICK
def test_any_grid_comes_back(kind, grid, suffix, name):
    wavelength, nodes, spectra = grid
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / name
        folder.mkdir()
        again = write_and_load(kind, folder, suffix, wavelength, nodes, spectra)
    exact = kind in ("npz", "h5", "phoenix", "table")
    np.testing.assert_allclose(again.wavelength, wavelength, rtol=0 if exact else 1e-12)
    np.testing.assert_allclose(again.spectra, spectra, rtol=0 if exact else 1e-11)
    np.testing.assert_array_equal(again.parameters, nodes)
