"""Generated grids, and grids in npz files."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import voigt_profile

from skphx._domain import blackbody_flux
from skphx.datasets import load_npz_grid, make_stellar_grid, save_npz_grid
from skphx.datasets._stellar_grid import _optical_depth


def grid_at(*points, **settings):
    return make_stellar_grid(parameters=points, return_lines=True, **settings)


def test_default_grid():
    grid = make_stellar_grid()
    assert grid.spectra.shape == (45, 4000)
    assert grid.parameters.shape == (45, 3)
    assert grid.parameter_names == ("teff", "logg", "feh")
    assert grid.wavelength.dtype == np.float64
    assert grid.medium == "vacuum"
    assert grid.units["spectra"] == "erg / (cm2 s cm)"
    assert "45 spectra of 4000 pixels" in grid.DESCR
    assert (grid.spectra >= 0).all()
    assert np.isfinite(grid.spectra).all()
    # The product of the nodes, Teff slowest.
    assert grid.parameters[0].tolist() == [4000.0, 3.5, -0.5]
    assert grid.parameters[1].tolist() == [4000.0, 3.5, 0.0]
    assert len(np.unique(grid.parameters, axis=0)) == 45


def test_flux_is_that_of_a_star():
    grid = make_stellar_grid()
    quotient = grid.spectra / blackbody_flux(grid.wavelength, grid.parameters[:, :1])
    assert 0.9 < np.percentile(quotient, 95) < 1.05
    assert quotient.max() < 1.1


def test_same_seed_same_lines_whatever_else():
    one = grid_at((5000, 4.0, 0.0))
    two = grid_at((6200, 3.1, -0.7), (5000, 4.0, 0.0), n_pixels=500, noise=0.1)
    np.testing.assert_array_equal(one.lines.center, two.lines.center)
    np.testing.assert_array_equal(one.lines.area[0], two.lines.area[1])
    other = grid_at((5000, 4.0, 0.0), random_state=1)
    assert (one.lines.center != other.lines.center).all()


def test_held_out_point_is_the_grid_at_that_point():
    grid = make_stellar_grid()
    points = grid.parameters[[3, 40]]
    np.testing.assert_array_equal(
        make_stellar_grid(parameters=points).spectra, grid.spectra[[3, 40]]
    )
    array = make_stellar_grid(parameters=points, wavelength=grid.wavelength)
    np.testing.assert_array_equal(array.spectra, grid.spectra[[3, 40]])


def test_spectra_follow_from_the_lines_returned():
    grid = grid_at((4500, 4.0, 0.0), (7000, 4.0, 0.0))
    lines = grid.lines
    offset = grid.wavelength[:, None] - lines.center
    for i in range(2):
        depth = voigt_profile(offset, lines.sigma[i], lines.gamma[i]) @ lines.area[i]
        np.testing.assert_allclose(grid.spectra[i], grid.continuum[i] * np.exp(-depth), rtol=1e-6)


def test_optical_depth_is_voigt_where_wings_are_approximated():
    grid = grid_at((9500, 4.0, 0.0), wavelength=(8000.0, 9500.0), n_pixels=3000)
    lines = grid.lines
    exact = (
        voigt_profile(grid.wavelength[:, None] - lines.center, lines.sigma[0], lines.gamma[0])
        @ lines.area[0]
    )
    np.testing.assert_allclose(_optical_depth(grid.wavelength, lines)[0], exact, rtol=1e-5)


def test_noise_is_as_asked_and_moves_nothing_else():
    clean = grid_at((5500, 4.0, 0.0))
    noisy = grid_at((5500, 4.0, 0.0), noise=0.02)
    deviation = (noisy.spectra - clean.spectra) / clean.continuum
    assert deviation.std() == pytest.approx(0.02, rel=0.05)
    assert abs(deviation.mean()) < 0.02 / np.sqrt(4000) * 4
    again = grid_at((5500, 4.0, 0.0), noise=0.02)
    np.testing.assert_array_equal(noisy.spectra, again.spectra)


def strength_of(kind, *points, **settings):
    """Median over the lines of a kind of their log area, one element a point."""
    lines = grid_at(*points, n_lines=200, **settings).lines
    return np.median(np.log10(lines.area[:, lines.species == kind]), axis=1)


def test_lines_follow_temperature():
    stars = [(teff, 4.0, 0.0) for teff in (3500, 5000, 6500, 8000)]
    neutral, ion, molecule, hydrogen = (
        strength_of(kind, *stars)
        for kind in ("neutral metal", "ionised metal", "molecule", "hydrogen")
    )
    assert (np.diff(neutral[1:]) < 0).all()
    assert (np.diff(ion[:3]) > 0).all()
    assert ion[0] < ion[3] - 3  # ions vanish in cool stars
    assert (np.diff(molecule) < 0).all()
    assert molecule[2] < molecule[0] - 3  # molecules vanish in hot stars
    assert (np.diff(hydrogen) > 0).all()


def test_lines_follow_gravity_and_abundance():
    giant, dwarf = (5500, 2.5, 0.0), (5500, 4.5, 0.0)
    ion = strength_of("ionised metal", giant, dwarf)
    neutral = strength_of("neutral metal", giant, dwarf)
    assert ion[0] > ion[1] + 0.2
    assert abs(neutral[0] - neutral[1]) < 0.3 * (
        ion[0] - ion[1]
    )  # Gray: nearly no pressure effect
    lines = grid_at(giant, dwarf, n_lines=200).lines
    metals = lines.species != "hydrogen"
    assert (lines.gamma[1, metals] > lines.gamma[0, metals]).all()
    hot = strength_of("ionised metal", (9000, 4.0, -0.5), (9000, 4.0, 0.0))
    assert hot[1] - hot[0] == pytest.approx(0.5, abs=0.05)
    hydrogen = strength_of("hydrogen", (9000, 4.0, -0.5), (9000, 4.0, 0.0))
    assert hydrogen[1] == pytest.approx(hydrogen[0], abs=0.05)


def test_excited_lines_are_more_sensitive_to_temperature():
    lines = grid_at((4500, 4.0, 0.0), (5500, 4.0, 0.0), n_lines=300).lines
    rows = lines.species == "neutral metal"
    growth = np.log10(lines.area[1, rows] / lines.area[0, rows])
    slope, _ = np.polyfit(lines.excitation[rows], growth, 1)
    # Boltzmann: the difference of theta = 5040 / T, a dex for each eV, T a little below Teff.
    assert slope == pytest.approx(5040 / 4500 / 0.93 - 5040 / 5500 / 0.93, rel=1e-3)


def test_strong_lines_saturate():
    """Equivalent width grows more slowly than abundance: the curve of growth."""
    grid = grid_at((5000, 4.4, -1.0), (5000, 4.4, 0.5), n_lines=5)
    width = ((1 - grid.spectra / grid.continuum) * np.gradient(grid.wavelength)).sum(axis=1)
    assert 0.1 < np.log10(width[1] / width[0]) < 1.2


def test_hydrogen_wings_broaden_with_teff():
    lines = grid_at((5500, 4.0, 0.0), (7000, 4.0, 0.0), (9000, 4.0, 0.0)).lines
    gamma = lines.gamma[:, lines.species == "hydrogen"]
    assert (np.diff(gamma, axis=0) > 0).all()
    assert gamma[2].min() > 1.0  # Å


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flux_is_smooth_in_the_parameters(axis):
    """Halving the step divides the error of linear interpolation by four."""
    step = np.zeros(3)
    step[axis] = (200.0, 0.4, 0.4)[axis]
    middle = np.array([5200.0, 4.0, -0.1])
    errors = []
    for size in (1.0, 0.5):
        low, center, high = make_stellar_grid(
            parameters=[middle - size * step, middle, middle + size * step]
        ).spectra
        errors.append(np.sqrt(np.mean((0.5 * (low + high) - center) ** 2)))
    assert 3.0 < errors[0] / errors[1] < 5.0


def test_blends_are_there():
    center = grid_at((5000, 4.0, 0.0)).lines.center
    assert (np.diff(center) / center[1:] < 6e-5).sum() >= 5


def test_no_lines_gives_the_continuum():
    grid = grid_at((5000, 4.0, 0.0), n_lines=0)
    np.testing.assert_array_equal(grid.spectra, grid.continuum)
    assert grid.lines.area.shape == (1, 0)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"teff": (5000, 5000)}, ValueError, r"teff must hold each value once"),
        ({"logg": ()}, ValueError, r"logg must be the values of the grid"),
        ({"teff": (-5.0,)}, ValueError, "teff must be positive, in K, got -5.0"),
        ({"parameters": [[5000, 4.0]]}, ValueError, r"shape \(n_spectra, 3\), got shape \(1, 2\)"),
        ({"parameters": [[5000, 4.0, np.nan]]}, ValueError, "parameters must be finite"),
        ({"medium": "water"}, ValueError, "medium must be 'air' or 'vacuum'.*got 'water'"),
        ({"noise": -0.1}, ValueError, "noise == -0.1"),
        ({"n_lines": 1.5}, TypeError, "n_lines must be an instance of"),
        ({"wavelength": (9000.0, 8000.0)}, ValueError, "needs start < stop"),
        ({"wavelength": None}, ValueError, "got None"),
    ],
)
def test_bad_arguments_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        make_stellar_grid(**settings)


# Files


@pytest.fixture
def grid():
    return make_stellar_grid(teff=(5000, 6000), logg=(4.0,), feh=(-0.5, 0.0), n_pixels=30)


def test_saved_grid_comes_back(tmp_path, grid):
    grid.parameters = np.column_stack([grid.parameters, [0.0, 0.2, 0.4, 0.0]])
    grid.parameter_names = (*grid.parameter_names, "alpha")
    again = load_npz_grid(save_npz_grid(tmp_path / "grid.npz", grid))
    for key in ("spectra", "parameters", "wavelength"):
        np.testing.assert_array_equal(again[key], grid[key])
    assert again.parameter_names == ("teff", "logg", "feh", "alpha")
    assert again.medium == "vacuum"
    assert again.units == {**grid.units, "alpha": None}
    assert load_npz_grid(tmp_path / "grid.npz", dtype=np.float32).spectra.dtype == np.float32


def test_wavelength_range(tmp_path, grid):
    path = save_npz_grid(tmp_path / "grid.npz", grid)
    part = load_npz_grid(path, wavelength_range=(8500, 8600))
    keep = (grid.wavelength >= 8500) & (grid.wavelength <= 8600)
    np.testing.assert_array_equal(part.wavelength, grid.wavelength[keep])
    np.testing.assert_array_equal(part.spectra, grid.spectra[:, keep])
    with pytest.raises(ValueError, match=r"9000 to 9100 Å holds no pixel of grid.npz"):
        load_npz_grid(path, wavelength_range=(9000, 9100))


def arrays_of(grid, **changes):
    """Arrays of a file as users write it, with some replaced or, if None, left out."""
    arrays = {
        "wavelength": grid.wavelength,
        "flux": grid.spectra,
        **dict(zip(grid.parameter_names, grid.parameters.T, strict=True)),
        **changes,
    }
    return {key: value for key, value in arrays.items() if value is not None}


def test_integers_are_ten_thousand_times_the_flux(tmp_path, grid):
    integers = np.arange(120, dtype=np.uint16).reshape(4, 30) * 500
    np.savez(tmp_path / "g.npz", **arrays_of(grid, flux=None, flux_1e4=integers))
    loaded = load_npz_grid(tmp_path / "g.npz", medium="air")
    np.testing.assert_allclose(loaded.spectra, integers / 1e4, rtol=1e-15)
    assert loaded.units["spectra"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teff": None}, "no array 'teff', only"),
        ({"flux": None}, "must have either flux or flux_1e4"),
        ({"flux": np.ones(30)}, r"shape \(n_spectra, 30\).*got shape \(30,\)"),
        ({"flux": np.ones((4, 29))}, r"shape \(n_spectra, 30\).*got shape \(4, 29\)"),
        ({"flux": np.ones((4, 30), dtype=int)}, "must hold floats, got dtype int"),
        ({"flux_1e4": np.ones((4, 30), dtype=int)}, r"got \['flux', 'flux_1e4'\]"),
        ({"teff": np.ones(3)}, r"teff of g.npz must hold one number per spectrum, shape \(4,\)"),
        ({"feh": np.array([0, 0, np.nan, 0])}, "feh of g.npz must be finite.*spectrum 2"),
        ({"wavelength": np.ones(30)}, "wavelength of g.npz must be strictly increasing"),
        (
            {"logg": np.array([None] * 4)},
            "Array 'logg' of g.npz cannot be read.*Objects are refused",
        ),
        ({"medium": "water"}, "medium of g.npz must be 'air' or 'vacuum'"),
        (
            {"wavelength": np.array(["a"] * 30), "wavelength_unit": "nm"},
            "wavelength of g.npz must hold numbers",
        ),
        (
            {"wavelength": np.arange(30) + 1j, "wavelength_unit": "nm"},
            "wavelength of g.npz must hold numbers, .*complex numbers are not real",
        ),
    ],
)
def test_bad_files_are_explained(tmp_path, grid, changes, message):
    np.savez(tmp_path / "g.npz", **arrays_of(grid, **changes))
    with pytest.raises(ValueError, match=message):
        load_npz_grid(tmp_path / "g.npz", medium="air")


def test_medium_must_be_known(tmp_path, grid):
    np.savez(tmp_path / "g.npz", **arrays_of(grid))
    with pytest.raises(ValueError, match="does not say whether its wavelengths are in air"):
        load_npz_grid(tmp_path / "g.npz")
    assert load_npz_grid(tmp_path / "g.npz", medium="air").medium == "air"


def test_medium_of_the_user_wins(tmp_path, grid):
    np.savez(tmp_path / "g.npz", **arrays_of(grid, medium="vacuum"))
    with pytest.warns(UserWarning, match="g.npz says that its wavelengths are in vacuum"):
        assert load_npz_grid(tmp_path / "g.npz", medium="air").medium == "air"


def test_what_is_no_npz_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_npz_grid(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("wavelength flux")
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("text.npz", "array.npy"):
        with pytest.raises(ValueError, match=rf"{name} is not an .npz file"):
            load_npz_grid(tmp_path / name)


def test_truncated_file(tmp_path, grid):
    path = save_npz_grid(tmp_path / "grid.npz", grid)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cut short"):
        load_npz_grid(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spectra": np.ones((4, 29))}, r"grid.spectra must have shape \(n_spectra, 30\)"),
        ({"parameters": np.ones((3, 3))}, r"grid.parameters must have shape \(4, 3\)"),
        ({"parameter_names": ("teff", "logg", "flux")}, "grid.parameter_names must hold"),
        ({"medium": "plasma"}, "medium must be"),
        ({"spectra": np.ones((4, 30), dtype=object)}, "must hold numbers"),
    ],
)
def test_save_refuses_what_load_would(tmp_path, grid, changes, message):
    grid.update(changes)
    with pytest.raises(ValueError, match=message):
        save_npz_grid(tmp_path / "grid.npz", grid)
    assert not (tmp_path / "grid.npz").exists()


def test_save_names_what_is_missing(tmp_path, grid):
    del grid["medium"]
    with pytest.raises(ValueError, match=r"grid lacks \['medium'\]"):
        save_npz_grid(tmp_path / "grid.npz", grid)
    with pytest.raises(ValueError, match=r"path must end in .npz, got 'grid.npy'"):
        save_npz_grid(tmp_path / "grid.npy", grid)


@pytest.mark.slow
def test_datasets_need_no_torch():
    code = "import sys, skphx.datasets; assert not {'torch', 'skopt', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "medium", "shape"),
    [
        ("phoenix_hband_grid", "vacuum", (216, 4096)),
        ("atlas9_rvs_grid", "air", (364, 13001)),
        ("atlas9_rvs_offgrid", "air", (48, 13001)),
        ("phoenix_3000_4300K", "air", (84, 44150)),
    ],
)
def test_shared_grids(shared_data, name, medium, shape):
    grid = load_npz_grid(shared_data / f"{name}.npz", medium=medium)
    assert grid.spectra.shape == shape
    assert grid.parameters.shape == (shape[0], 3)
    assert len(np.unique(grid.parameters, axis=0)) == shape[0]
    assert grid.wavelength.shape == shape[1:]
    if name.startswith("atlas9"):
        assert grid.spectra.max() == 1.0


@pytest.mark.shared_data
def test_a_single_spectrum_is_no_grid(shared_data):
    with pytest.raises(ValueError, match="no array 'teff'"):
        load_npz_grid(shared_data / "phoenix_T4100_g2.5_native.npz", medium="vacuum")
