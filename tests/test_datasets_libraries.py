"""Libraries of files on disk, each in its own layout, and a user's own grids."""

import bz2
import gzip
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from phoenix_server import WAVELENGTH, serve, write_library, write_spectrum

from skphx._domain import blackbody_flux
from skphx.datasets import (
    GridLayout,
    MissingNodesWarning,
    fetch_grid,
    grid_from_arrays,
    list_grids,
    load_grid,
    load_hdf5_grid,
    load_npz_grid,
    load_phoenix,
    load_table_grid,
    make_stellar_grid,
    register_grid,
    save_hdf5_grid,
    save_npz_grid,
)
from skphx.datasets._layouts import get_layout
from skphx.datasets._phoenix_layout import WAVELENGTH_FILE

AXIS = np.linspace(10_000.0, 10_050.0, 26)


def flux_at(teff):
    """Flux in erg/s/cm²/cm that identifies a node."""
    return blackbody_flux(AXIS, teff)


# PHOENIX on disk


@pytest.fixture
def library(tmp_path):
    return tmp_path, write_library(tmp_path / "HiRes")


def node_file(folder, teff=5000, logg=4.0, feh="-0.0"):
    return next(folder.rglob(f"lte{teff:05d}-{logg:.2f}{feh}.*"))


def test_hires(library):
    folder, truth = library
    grid = load_phoenix(folder, wavelength=(8500.0, 8510.0), teff=(5000, 5100), feh=0.0)
    rows = (truth.parameters[:, 0] <= 5100) & (truth.parameters[:, 2] == 0)
    keep = (WAVELENGTH >= 8500) & (WAVELENGTH <= 8510)
    np.testing.assert_array_equal(grid.parameters, truth.parameters[rows])
    np.testing.assert_allclose(grid.spectra, truth.spectra[rows][:, keep], rtol=1e-7)
    assert grid.provenance["n_files"] == 4
    assert grid.constants == {"alpha": 0.0}


def test_wavelengths_are_found_beside_files_and_needed(library, tmp_path):
    folder, _ = library
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (folder / "HiRes").rglob("*.fits"):
        path.rename(flat / path.name)
    assert len(load_phoenix(flat).spectra) == 12
    (flat / WAVELENGTH_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no WAVE_PHOENIX.*or above it"):
        load_phoenix(flat)


@pytest.mark.parametrize("kind", ["R10000", "A1"])
def test_medres(tmp_path, kind):
    """Axes in the header: ln(Å) at constant resolving power, Å at constant step."""
    folder = tmp_path / f"PHOENIX-ACES-AGSS-COND-2011_{kind}FITS_Z-0.0"
    folder.mkdir()
    for teff in (5000, 5100):
        hdu = fits.PrimaryHDU(np.linspace(1e14, teff * 1e11, 60).astype(np.float32))
        axis = {"CRVAL1": 8.3, "CDELT1": 1e-5} if kind == "R10000" else {"CRVAL1": 3000.0}
        hdu.header.update({"CDELT1": 1.0, **axis})
        name = f"lte{teff:05d}-4.50-0.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
        hdu.writeto(folder / name)
    grid = load_phoenix(tmp_path)
    pixels = np.arange(60)
    expected = np.exp(8.3 + 1e-5 * pixels) if kind == "R10000" else 3000.0 + pixels
    np.testing.assert_allclose(grid.wavelength, expected, rtol=1e-12)
    assert grid.spectra.shape == (2, 60)


def test_only_what_is_wanted_is_in_memory(tmp_path):
    wavelength = np.arange(8000.0, 9500.0, 0.01)
    write_library(tmp_path, wavelength=wavelength, n_lines=0, teff=(5000, 5100), feh=(0.0,))
    load_phoenix(tmp_path, wavelength=(8500.0, 8501.0))  # imports, and the axis
    tracemalloc.start()
    grid = load_phoenix(tmp_path, wavelength=(8500.0, 8800.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grid.spectra.shape == (4, 30_000)
    # Whole files are 1.2 MB each as float64, the result is 0.96 MB.
    assert peak < 3 * grid.spectra.nbytes


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda flux: np.zeros_like(flux), "its flux is zero everywhere"),
        (
            lambda flux: np.where(np.arange(len(flux)) < 1000, flux, 0),
            "600 of 1600 pixels are zer",
        ),
        (lambda flux: np.where(np.arange(len(flux)) == 7, np.nan, flux), "not finite, the first"),
        (lambda flux: np.where(np.arange(len(flux)) == 7, -1, flux), "1 of 1600 pixels are negat"),
        (lambda flux: flux[:900], "it has 900 pixels, but the spectra of the library have 1600"),
    ],
)
def test_damaged_files_are_named(library, damage, message):
    folder, truth = library
    write_spectrum(node_file(folder), damage(truth.spectra[0]), 5000, 4.0, 0.0)
    with pytest.raises(ValueError, match="1 of 12 files cannot be used") as error:
        load_phoenix(folder)
    assert message in str(error.value)
    assert "lte05000-4.00-0.0." in str(error.value)


def test_truncated_and_mislabelled_files(library):
    folder, truth = library
    path = node_file(folder)
    path.write_bytes(path.read_bytes()[:-3000])
    other = node_file(folder, 5200, 4.5, "-0.5")
    write_spectrum(other, truth.spectra[0], 5000, 4.0, -0.5)
    with pytest.raises(ValueError, match="2 of 12 files cannot be used") as error:
        load_phoenix(folder)
    assert "it is cut short" in str(error.value)
    assert "its name says teff=5200 and its header 5000: it is another model" in str(error.value)


def test_missing_nodes_of_a_folder(library):
    folder, _ = library
    node_file(folder).unlink()
    with pytest.warns(MissingNodesWarning, match="1 of 12 nodes are missing.*teff=5000, logg=4"):
        grid = load_phoenix(folder)
    assert grid.missing.tolist() == [[5000.0, 4.0, 0.0]]
    with pytest.raises(ValueError, match="because there is no file for them"):
        load_phoenix(folder, on_missing="raise")
    # Nodes outside of the ranges are not missing.
    assert len(load_phoenix(folder, teff=(5100, 5200)).missing) == 0


def test_one_node_in_two_files(library):
    folder, _ = library
    path = node_file(folder)
    copy = folder / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    (folder / "copy" / WAVELENGTH_FILE).write_bytes(
        (folder / "HiRes" / WAVELENGTH_FILE).read_bytes()
    )
    with pytest.raises(ValueError, match="are the same node; give the folder of one version"):
        load_phoenix(folder)


def test_folder_without_such_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file of the grid phoenix"):
        load_phoenix(tmp_path)


# Other libraries


def write_bt_settl(folder):
    for teff in (3000, 3100):
        logs = np.log10(flux_at(teff))
        text = [
            f"{wavelength:13.6f}{log:12.5f} -3.0 1.0\n".replace("E", "D")
            for wavelength, log in zip(AXIS, logs, strict=True)
        ]
        # As processors write it: pieces out of order, a joint repeated.
        text = text[13:] + text[:14]
        name = f"lte{teff / 100:05.1f}-4.5-0.0a+0.0.BT-Settl.spec.7.bz2"
        (folder / name).write_bytes(bz2.compress("".join(text).encode()))


def write_sonora(folder):
    for teff in (3000, 3100):
        frequency_flux = flux_at(teff) * (AXIS * 1e-8) ** 2 / 2.99792458e10
        rows = [f"{w:.8E} {f:.8E}\n" for w, f in zip(AXIS / 1e4, frequency_flux, strict=True)]
        text = "3000 K 316 m/s2\n microns flux\n" + "".join(rows[::-1])
        (folder / f"sp_t{teff}g316nc_m0.0.gz").write_bytes(gzip.compress(text.encode()))


def write_cooltlusty(folder):
    for teff in (3000, 3100):
        text = "  NFREQ LAMBDA(mic)  FREQ  FNU  FLAM FDET(milliJ)\n" + "".join(
            f" 1 {w:.9E} 1.0 1.0 {f:.9E} 0.1\n".replace("E", "D")
            for w, f in zip(AXIS / 1e4, flux_at(teff) / 1e8, strict=True)
        )
        (folder / f"T{teff}_g4.50_Z1.000_CDIFF1e6.21").write_text(text)


def write_bosz(folder, resolution="r50000"):
    (folder / "wavelength_grids").mkdir()
    np.savetxt(folder / "wavelength_grids" / f"bosz2024_wave_{resolution}.txt", AXIS)
    for teff in (3000, 3100):
        below = folder / resolution / "m+0.00"
        below.mkdir(parents=True, exist_ok=True)
        moment = flux_at(teff) / 1e8 / 4 / np.pi
        text = "".join(f"{h:.9e} {h:.9e}\n" for h in moment)
        name = f"bosz2024_mp_t{teff}_g+4.5_m+0.00_a+0.00_c+0.00_v2_{resolution}_resam.txt.gz"
        (below / name).write_bytes(gzip.compress(text.encode()))


def write_atlas9(folder):
    for teff in (3000, 3100):
        table = Table({"WAVELENGTH": AXIS, "g00": np.zeros(len(AXIS)), "g45": flux_at(teff) / 1e8})
        (folder / "ckp00").mkdir(exist_ok=True)
        table.write(folder / "ckp00" / f"ckp00_{teff}.fits")


WRITERS = {
    "bt-settl": (write_bt_settl, 2e-5),  # five digits of a logarithm
    "sonora-bobcat": (write_sonora, 1e-7),
    "cooltlusty": (write_cooltlusty, 1e-7),
    "bosz": (write_bosz, 1e-7),
    "atlas9": (write_atlas9, 1e-12),
}


@pytest.mark.parametrize("name", WRITERS)
def test_other_libraries(tmp_path, name):
    write, rtol = WRITERS[name]
    write(tmp_path)
    medium = get_layout(name).medium
    grid = load_grid(name, tmp_path, medium=medium or "vacuum", wavelength=(10_005, 10_045))
    keep = (AXIS >= 10_005) & (AXIS <= 10_045)
    np.testing.assert_allclose(grid.wavelength, AXIS[keep], rtol=1e-8)
    assert grid.parameter_names == ("teff", "logg", "feh")
    assert grid.parameters.tolist() == [[3000.0, 4.5, 0.0], [3100.0, 4.5, 0.0]]
    for flux, teff in zip(grid.spectra, (3000, 3100), strict=True):
        np.testing.assert_allclose(flux, flux_at(teff)[keep], rtol=rtol)
    assert grid.units["spectra"] == "erg / (cm2 s cm)"
    assert get_layout(name).reference in grid.DESCR
    one = load_grid(name, tmp_path, medium=medium or "air", teff=3100)
    assert one.parameters.tolist() == [[3100.0, 4.5, 0.0]]
    if medium is None:
        with pytest.raises(ValueError, match="does not say whether its wavelengths are in air"):
            load_grid(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "parameters"),
    [
        ("bt-settl", "lte032.0-4.5-0.0a+0.0.BT-Settl.spec.7.xz", (3200, 4.5, 0.0, 0.0)),
        ("bt-settl", "lte018-5.0-0.5a+0.2.BT-Settl.spec.7", (1800, 5.0, -0.5, 0.2)),
        ("bt-settl", "lte018-5.0-0.5a+0.2.BT-Settl.spec.7.dat.txt", None),
        ("sonora-bobcat", "sp_t2100g3160nc_m+0.5.gz", (2100, 5.5, 0.5)),
        ("sonora-bobcat", "sp_t950g31nc_m0.0.gz", (950, 3.5, 0.0)),
        ("sonora-bobcat", "sp_t950g56nc_m-0.5", (950, 3.75, -0.5)),
        ("cooltlusty", "T250_g3.75_Z0.316_CDIFF1e6.21", (250, 3.75, -0.5)),
        ("cooltlusty", "T600_g5.00_Z3.160.21", (600, 5.0, 0.5)),
        (
            "bosz",
            "bosz2024_ms_t7750_g+2.0_m-0.25_a+0.50_c-0.75_v4_r20000_resam.txt.gz",
            (7750, 2.0, -0.25, 0.5, -0.75, 4),
        ),
        (
            "bosz",
            "bosz2024_mp_t2800_g-0.5_m+0.00_a+0.00_c+0.00_v0_rorig_noresam.txt.gz",
            (2800, -0.5, 0.0, 0.0, 0.0, 0.0),
        ),
        ("atlas9", "ckm25_10000.fits", (-2.5, 10000)),
        ("atlas9", "kp03_3500.fits", (0.3, 3500)),
        ("phoenix", "lte12000-6.00+1.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits", (12000, 6, 1, 0)),
    ],
)
def test_names_of_files(name, file, parameters):
    found = get_layout(name).parameters_of(file)
    if parameters is None:
        assert found is None
    else:
        order = ("teff", "logg", "feh", "alpha", "carbon", "microturbulence")
        if name == "atlas9":
            order = ("feh", "teff")
        assert tuple(found[key] for key in order if key in found) == parameters


def test_bosz_of_original_resolution_and_without_wavelengths(tmp_path):
    moment = flux_at(3000) / 1e8 / 4 / np.pi
    text = "".join(f"{w:.6f} {h:.9e} {h:.9e}\n" for w, h in zip(AXIS, moment, strict=True))
    name = "bosz2024_mp_t3000_g+4.5_m+0.00_a+0.00_c+0.00_v2_rorig_noresam.txt"
    (tmp_path / name).write_text(text)
    grid = load_grid("bosz", tmp_path)
    np.testing.assert_allclose(grid.spectra[0], flux_at(3000), rtol=1e-8)
    assert grid.medium == "air"
    with pytest.warns(UserWarning, match="grid bosz says that its wavelengths are in air"):
        assert load_grid("bosz", tmp_path, medium="vacuum").medium == "vacuum"
    name = name.replace("rorig_noresam", "r500_resam")
    (tmp_path / name).write_text("1 1\n")
    with pytest.raises(FileNotFoundError, match=r"there is no bosz2024_wave_r500\.txt"):
        load_grid("bosz", tmp_path)


def test_bosz_from_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    write_bosz(tmp_path / "served")
    ranges = {"teff": (3000, 3100), "logg": 4.5, "feh": 0.0, "alpha": 0, "carbon": 0}
    with serve(tmp_path / "served") as server:
        server.troubles = {"t3000": ["cut", "html"]}
        settings = {"mirror": server.url, "data_home": tmp_path / "home", "delay": 0.0}
        grid = fetch_grid("bosz", microturbulence=2, **ranges, **settings)
    np.testing.assert_allclose(grid.spectra[0], flux_at(3000), rtol=1e-7)
    assert grid.constants == {"alpha": 0.0, "carbon": 0.0, "microturbulence": 2.0}


def test_libraries_that_are_no_service(tmp_path):
    with pytest.raises(ValueError, match="cannot be downloaded file by file"):
        fetch_grid("bt-settl", data_home=tmp_path)
    with pytest.raises(ValueError, match="there is no grid 'mist', only atlas9, bosz, bt-settl"):
        load_grid("mist", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        (
            "bt-settl",
            "lte030-4.5-0.0a+0.0.BT-Settl.spec.7",
            "no numbers\n",
            "a line without wavelength and fl",
        ),
        ("sonora-bobcat", "sp_t900g100nc_m0.0", "a\nb\n1.0 x\n", "could not convert"),
        ("cooltlusty", "T300_g4.50_Z1.000.21", "A B\n1 2\n", "has no columns LAMBDA"),
        ("atlas9", "ckp00_5000.fits", "<html>", "not a FITS file but a web page"),
    ],
)
def test_damaged_files_of_other_libraries(tmp_path, name, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match="1 of 1 files cannot be used") as error:
        load_grid(name, tmp_path, medium="air")
    assert message in str(error.value)


def own_layout(**changes):
    settings = {
        "pattern": r"t(?P<teff>\d+)_g(?P<logg>[\d.]+)_m(?P<feh>[-+\d.]+)_x(?P<xi>\d)\.txt",
        "read": lambda path: np.loadtxt(path).T,
        "medium": "vacuum",
        "flux_unit": None,
    }
    return GridLayout("own", **(settings | changes))


def write_own(folder, axes=(AXIS, AXIS), xi=(1, 1)):
    for teff, axis, velocity in zip((5000, 6000), axes, xi, strict=True):
        columns = np.column_stack([axis, np.linspace(0, 1, len(axis)) * teff])
        np.savetxt(folder / f"t{teff}_g4.5_m-0.5_x{velocity}.txt", columns)


def test_own_library(tmp_path):
    write_own(tmp_path, xi=(1, 2))
    grid = load_grid(own_layout(), tmp_path, on_missing="ignore")
    assert grid.parameter_names == ("teff", "logg", "feh", "xi")
    assert grid.spectra[1].max() == 6000
    assert grid.units["spectra"] is None
    assert len(grid.missing) == 2
    assert load_grid(own_layout(), tmp_path, xi=2).constants == {"xi": 2.0}
    register_grid(own_layout())
    assert "own" in list_grids()
    with pytest.warns(MissingNodesWarning):
        assert len(load_grid("own", tmp_path).spectra) == 2
    with pytest.raises(ValueError, match="zeta is not a parameter of the grid own, which has"):
        load_grid("own", tmp_path, zeta=1, on_missing="ignore")
    with pytest.raises(FileNotFoundError, match=r"has 2 files.*but none in the ranges"):
        load_grid("own", tmp_path, teff=(7000, 8000))


def test_files_with_pixels_of_their_own(tmp_path):
    write_own(tmp_path, (AXIS, AXIS + 0.5))
    with pytest.raises(ValueError, match=r"are not those of the first spectrum.*as an array"):
        load_grid(own_layout(), tmp_path)
    pixels = np.linspace(10_010.0, 10_040.0, 31)
    grid = load_grid(own_layout(), tmp_path, wavelength=pixels)
    np.testing.assert_array_equal(grid.wavelength, pixels)
    np.testing.assert_allclose(grid.spectra[1], 6000 * (pixels - 10_000.5) / 50.0, rtol=1e-12)
    with pytest.raises(ValueError, match=r"it covers 10000\.5 to 10050\.5 Å, not all of 10000 to"):
        load_grid(own_layout(), tmp_path, wavelength=AXIS)
    with pytest.raises(ValueError, match="it has no pixel from 9000 to 9100 Å, only from 10000"):
        load_grid(own_layout(), tmp_path, wavelength=(9000.0, 9100.0))


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        ({"pattern": "("}, ValueError, "is not a regular expression"),
        ({"medium": "water"}, ValueError, "must be 'air', 'vacuum' or None, got 'water'"),
    ],
)
def test_layouts_that_are_refused(layout, error, message):
    with pytest.raises(error, match=message):
        register_grid(own_layout(**layout))
    with pytest.raises(TypeError, match="layout must be a GridLayout, got str"):
        register_grid("phoenix")


# A user's own arrays and files


@pytest.fixture
def grid():
    return make_stellar_grid(teff=(5000, 6000), logg=(4.0,), feh=(-0.5, 0.0), n_pixels=30)


def test_arrays(grid):
    own = grid_from_arrays(
        grid.spectra, grid.parameters, grid.wavelength, medium="air", flux_unit="W/m3", name="mine"
    )
    np.testing.assert_array_equal(own.spectra, grid.spectra)
    assert own.units == {**grid.units, "spectra": "W/m3"}
    assert own.DESCR.startswith("Grid of stellar spectra from mine\n=")
    for changes, message in (
        ({"medium": None}, "medium must be 'air' or 'vacuum'"),
        ({"wavelength": grid.wavelength[::-1]}, "wavelength must be strictly increasing"),
        ({"spectra": grid.spectra[:, 1:]}, "grid.spectra must have shape"),
        ({"parameters": grid.parameters * np.nan}, "parameters must be finite"),
        ({"parameter_names": ("teff", "logg", "flux")}, "grid.parameter_names must hold"),
    ):
        arguments = {
            "spectra": grid.spectra,
            "parameters": grid.parameters,
            "wavelength": grid.wavelength,
            "medium": "air",
        }
        with pytest.raises(ValueError, match=message):
            grid_from_arrays(**(arguments | changes))


@pytest.mark.parametrize("save_and_load", ["npz", "h5"])
def test_saved_grid_keeps_its_provenance(tmp_path, grid, save_and_load):
    grid.provenance = {"grid": "mine", "sha256": {"a": "0" * 64}}
    grid.constants = {"alpha": 0.4}
    if save_and_load == "npz":
        again = load_npz_grid(save_npz_grid(tmp_path / "g.npz", grid))
    else:
        again = load_hdf5_grid(save_hdf5_grid(tmp_path / "g.h5", grid))
    np.testing.assert_array_equal(again.spectra, grid.spectra)
    np.testing.assert_array_equal(again.parameters, grid.parameters)
    assert again.units == grid.units
    assert again.medium == "vacuum"
    assert again.provenance == {
        **grid.provenance,
        "constants": {"alpha": 0.4},
        "file": f"g.{save_and_load}",
    }


def test_hdf5_is_cut_as_it_is_read(tmp_path, grid):
    path = save_hdf5_grid(tmp_path / "g.hdf5", grid)
    part = load_hdf5_grid(path, wavelength_range=(8500, 8600), dtype=np.float32)
    keep = (grid.wavelength >= 8500) & (grid.wavelength <= 8600)
    np.testing.assert_allclose(part.spectra, grid.spectra[:, keep], rtol=1e-6)
    assert part.spectra.dtype == np.float32
    with pytest.warns(UserWarning, match="says that its wavelengths are in vacuum"):
        assert load_hdf5_grid(path, medium="air").medium == "air"


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path, grid):
    import h5py

    save_hdf5_grid(tmp_path / "good.h5", grid)
    for name, link in (
        ("external.h5", h5py.ExternalLink("good.h5", "/flux")),
        ("soft.h5", h5py.SoftLink("/teff")),
    ):
        path = save_hdf5_grid(tmp_path / name, grid)
        with h5py.File(path, "a") as file:
            del file["logg"]
            file["logg"] = link
        with pytest.raises(ValueError, match=r"'logg' of .* refers to another file"):
            load_hdf5_grid(path)
    path = save_hdf5_grid(tmp_path / "raw.h5", grid)
    (tmp_path / "secret").write_bytes(bytes(32))
    with h5py.File(path, "a") as file:
        del file["logg"]
        file.create_dataset("logg", (4,), "f8", external=[(str(tmp_path / "secret"), 0, 32)])
    with pytest.raises(ValueError, match=r"'logg' of raw\.h5 refers to another file"):
        load_hdf5_grid(path)


def test_what_is_no_hdf5_grid(tmp_path, grid):
    import h5py

    (tmp_path / "text.h5").write_text("x")
    with pytest.raises(ValueError, match=r"text\.h5 is not an HDF5 file"):
        load_hdf5_grid(tmp_path / "text.h5")
    with pytest.raises(FileNotFoundError):
        load_hdf5_grid(tmp_path / "absent.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("spectra")
    with pytest.raises(ValueError, match=r"empty\.h5 is not a grid of spectra: it has no array"):
        load_hdf5_grid(tmp_path / "empty.h5")
    with pytest.raises(ValueError, match=r"must end in \.h5 or \.hdf5"):
        save_hdf5_grid(tmp_path / "g.npz", grid)


def test_without_h5py(tmp_path, grid, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'skphx\[hdf5\]'"):
        load_hdf5_grid(tmp_path / "g.h5")


def write_table(folder, names, grid):
    rows = ["file, teff, logg, feh, alpha"]
    for name, parameters, flux in zip(names, grid.parameters, grid.spectra, strict=True):
        rows.append(", ".join([name, *(f"{value:g}" for value in parameters), "0.2"]))
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            path.parent.mkdir(exist_ok=True)
            Table({"wavelength": grid.wavelength, "flux": flux}).write(path, overwrite=True)
    (folder / "grid.csv").write_text("\n".join(rows))
    return folder / "grid.csv"


SAID = {"medium": "vacuum", "wavelength_unit": "Angstrom"}


def test_table_of_files(tmp_path, grid):
    table = write_table(tmp_path, ["a.csv", "b.fits", "c.ecsv", "below/d.csv"], grid)
    own = load_table_grid(table, **SAID)
    np.testing.assert_allclose(own.spectra, grid.spectra, rtol=1e-9)
    np.testing.assert_array_equal(own.parameters, grid.parameters)
    assert own.constants == {"alpha": 0.2}
    assert own.medium == "vacuum"
    part = load_table_grid(table, wavelength=(8500.0, 8600.0), **SAID)
    assert part.wavelength.min() >= 8500
    assert part.wavelength.max() <= 8600


def test_table_that_leads_elsewhere_or_lacks_something(tmp_path, grid):
    (tmp_path / "in").mkdir()
    names = ["a.csv", "../b.csv", "c.csv", "d.csv"]
    with pytest.raises(ValueError, match=r"'\.\./b\.csv' leads out of the folder"):
        load_table_grid(write_table(tmp_path / "in", names, grid), **SAID)
    names[1] = "b.csv"
    table = write_table(tmp_path / "in", names, grid)
    (tmp_path / "in" / "b.csv").unlink()
    (tmp_path / "in" / "c.csv").write_text("x")
    with pytest.raises(ValueError, match=r"2 of 4 files of grid\.csv cannot be used") as error:
        load_table_grid(table, **SAID)
    assert "b.csv: There is no file" in str(error.value)
    for text, message in (
        ("file,teff,logg\na.csv,1,2\n", "needs columns file, teff, logg, feh, and lacks feh"),
        ("", "lacks file, teff, logg, feh"),
        ("file,teff,logg,feh\na.csv,hot,4,0\n", "line 2 of grid.csv must hold a number"),
        ("file,teff,logg,feh\na.csv,inf,4,0\n", "line 2 of grid.csv must hold finite"),
        ("file,teff,logg,feh\na.csv,5000,4\n", "line 2 of grid.csv must hold a number"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_table_grid(table, **SAID)
    with pytest.raises(FileNotFoundError):
        load_table_grid(tmp_path / "absent.csv")
