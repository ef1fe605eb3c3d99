"""Names of lines, transmissions of species, and spectra of other abundances."""

import pickle
from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
from named_star_grids import (
    LINE_LIST,
    MICROTURBULENCE,
    PART,
    TRUE_LIST,
    WAVELENGTH,
    flux_emulator,
    nodes,
    spectra,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skphx import (
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
    load_model,
    save_model,
)
from skphx.calibration import LineCalibrator
from skphx.inference import ObservationModel
from skphx.observing import ForwardModel, ObservedSpectrum
from skphx.species import LineList, NamedEmulator, _naming, name_lines

POINT = np.array([[5400.0, 4.3, -0.2]])
ELEMENTS = ("Ca", "Si", "Ti")
# Between nodes, with [Ca/Fe], [Si/Fe] and [Ti/Fe].
CHANGED = np.array([[5400.0, 4.3, -0.2, 0.15, -0.25, 0.3]])
# A step of each parameter that changes spectra by about as much as the others.
STEPS = np.array([50.0, 0.05, 0.05, 0.05, 0.05, 0.05])


@pytest.fixture(scope="module")
def emulator():
    return flux_emulator()


@pytest.fixture(scope="module")
def named(emulator):
    return name_lines(emulator, LINE_LIST)


@pytest.fixture(scope="module")
def changed(named):
    """Emulator of three abundances."""
    return named.with_abundances(ELEMENTS)


@pytest.fixture(scope="module")
def part_nodes():
    return nodes((5000.0, 6000.0), (4.0, 4.5), (-0.5, 0.0))


@pytest.fixture(scope="module")
def line_emulator(part_nodes):
    cloner = VoigtCloner(PART, max_iter=10, n_seeds=2, target_rms=None)
    emulator = LineManifoldRegressor(cloner, medium="air", interpolation="linear")
    return emulator.fit(part_nodes, spectra(part_nodes, wavelength=PART))


@pytest.fixture(scope="module")
def named_lines(line_emulator):
    return name_lines(line_emulator, LINE_LIST)


@pytest.fixture(scope="module")
def calibrated(line_emulator):
    """Emulator whose lines were corrected by a star with stronger ones."""
    flux = spectra(POINT, wavelength=PART)[0] ** 1.2
    star = {"wavelength": PART, "flux": flux, "sigma": 0.004}
    model = ObservationModel(medium="air", continuum_degree=1)
    return LineCalibrator(line_emulator, observation_model=model).fit([star], POINT).emulator_


@pytest.fixture(scope="module")
def compiled(named_lines):
    """Estimator for an instrument of resolution 20,000."""
    estimator = StellarParameterEstimator.from_emulator(
        named_lines, random_state=0, n_initial_points=10
    )
    return estimator.compile(resolution=20_000.0, n_between=0, n_tests=4)


class TestNames:
    def test_lines_have_the_names_of_those_that_made_them(self, named_lines):
        names = named_lines.line_names_
        assert len(names) == named_lines.emulator_.manifold_.n_lines >= 9
        for species, center in [
            ("Ca I", 8504.30),
            ("Fe I", 8505.50),
            ("Ti I", 8506.90),
            ("CN", 8507.60),
            ("Fe I", 8508.10),
            ("Si I", 8509.80),
            ("CN", 8512.40),
            ("Ca I", 8513.10),
        ]:
            line = np.argmin(np.abs(names.center - center))
            assert abs(names.center[line] - center) < 0.01
            assert names.species[line] == species
            assert names.share[line] > 0.8
            known = np.argmin(np.abs(LINE_LIST.wavelength - center))
            assert names.excitation[line] == LINE_LIST.excitation[known]

    def test_shares_add_up(self, named_lines):
        names = named_lines.line_names_
        assert_allclose(names.shares.sum(axis=1), 1.0)
        assert (names.shares >= 0).all()
        assert names.shares.shape == (len(names), len(names.all_species))
        assert_array_equal(names.shares.max(axis=1), names.share)
        first = [names.all_species[column] for column in names.shares.argmax(axis=1)]
        assert first == names.species.tolist()

    def test_a_blend_has_shares_of_both(self, named_lines):
        names = named_lines.line_names_
        line = np.argmin(np.abs(names.center - 8511.61))
        shares = dict(zip(names.all_species, names.shares[line], strict=True))
        assert min(shares["Fe I"], shares["Ti I"]) > 0.2
        assert shares["Fe I"] + shares["Ti I"] > 0.95

    def test_shares_of_a_blend_change_with_the_star(self, named_lines):
        """Ti I, of lower excitation, weakens more than Fe I towards higher temperatures."""
        shares = []
        for teff in (5100.0, 5900.0):
            names = named_lines.name_lines_at([teff, 4.3, -0.2])
            line = np.argmin(np.abs(names.center - 8511.61))
            shares.append(dict(zip(names.all_species, names.shares[line], strict=True)))
        assert shares[0]["Ti I"] > shares[1]["Ti I"] + 0.1
        assert shares[0]["Fe I"] < shares[1]["Fe I"] - 0.1

    def test_as_a_table(self, named_lines):
        names = named_lines.line_names_
        table = names.to_pandas()
        assert list(table) == ["center", "area", "species", "excitation", "share", "others"]
        assert table["species"].tolist() == names.species.tolist()
        line = np.argmin(np.abs(names.center - 8511.61))
        other = {"Fe I": "Ti I", "Ti I": "Fe I"}[names.species[line]]
        assert table["others"][line].startswith(f"{other} 0.")

    def test_lines_of_one_star(self, named_lines, line_emulator):
        names = named_lines.name_lines_at(POINT[0])
        lines = line_emulator.predict_lines(POINT).reshape(-1, 4)
        assert_allclose(names.center, lines[:, 0])
        assert_allclose(names.area, np.exp(lines[:, 1]))
        strong = names.area > 0.02
        assert_array_equal(names.species[strong], named_lines.line_names_.species[strong])

    def test_a_list_in_vacuum_gives_the_same(self, named_lines, line_emulator):
        other = name_lines(line_emulator, LINE_LIST.in_medium("vacuum")).line_names_
        assert_array_equal(other.species, named_lines.line_names_.species)
        assert_allclose(other.shares, named_lines.line_names_.shares, atol=1e-3)

    def test_lines_that_the_list_lacks_are_not_identified(self, line_emulator):
        kept = LINE_LIST.species != "Si I"
        columns = ("wavelength", "species", "excitation", "log_gf", "depth")
        some = LineList(*(getattr(LINE_LIST, name)[kept] for name in columns), "air")
        named = name_lines(line_emulator, some)
        assert "Si" not in named.elements_
        line = np.argmin(np.abs(named.line_names_.center - 8509.80))
        assert named.line_names_.species[line] == "unidentified"

    def test_emulators_without_lines_have_no_names(self, named):
        assert named.line_names_ is None
        with pytest.raises(ValueError, match="no fitted lines; name those of a LineManifold"):
            named.name_lines_at(POINT[0])

    def test_points_outside_are_refused(self, named_lines):
        with pytest.raises(ValueError, match="outside"):
            named_lines.name_lines_at([8000.0, 4.3, -0.2])


class TestSpecies:
    def test_product_is_the_flux(self, named):
        points = np.concatenate([POINT, nodes()[[0, -1]]])
        species = named.predict_species(points)
        product = np.prod(list(species.values()), axis=0)
        assert_allclose(product, named.predict(points), atol=1e-12)
        for name, one in species.items():
            assert one.shape == (3, len(WAVELENGTH))
            assert (one > 0).all()
            if name != "unidentified":
                assert (one <= 1).all()

    def test_deepest_first_and_others_last(self, named):
        species = named.predict_species(POINT)
        assert list(species)[-2:] == ["others", "unidentified"]
        assert set(species) - {"others", "unidentified"} == set(LINE_LIST.species)
        depths = [1.0 - one.min() for one in list(species.values())[:-2]]
        assert depths == sorted(depths, reverse=True)

    def test_each_species_absorbs_at_its_lines(self, named):
        species = named.predict_species(POINT)
        for name, center in [("Ca II", 8498.02), ("Si I", 8509.80), ("Ti I", 8517.80)]:
            pixel = np.argmin(np.abs(WAVELENGTH - center))
            flux = named.predict(POINT)[0, pixel]
            assert_allclose(species[name][0, pixel], flux, atol=0.05)
        # Of a blend, both species have a part.
        pixel = np.argmin(np.abs(WAVELENGTH - 8511.61))
        assert species["Fe I"][0, pixel] < 0.9
        assert species["Ti I"][0, pixel] < 0.9

    def test_hydrogen_is_what_is_left_near_its_lines(self, emulator):
        columns = {
            name: np.append(getattr(LINE_LIST, name), value)
            for name, value in {
                "wavelength": 8502.48, "species": "H I", "excitation": 12.09, "log_gf": 1.0,
                "depth": np.nan, "waals": np.nan,
            }.items()
        }  # fmt: skip
        points = nodes((5500.0, 6000.0), (4.5,), (0.0,))
        profile = 0.1 / (1.0 + ((WAVELENGTH - 8502.48) / 4.0) ** 2)
        flux = spectra(points) * (1.0 - profile)
        broad = FluxEmulator(WAVELENGTH, medium="air").fit(points, flux)
        species = name_lines(broad, LineList(**columns, medium="air")).predict_species(points[:1])
        between = (WAVELENGTH > 8502.6) & (WAVELENGTH < 8502.95)
        assert_allclose(species["H I"][0, between], 1.0 - profile[between], atol=0.02)
        unlisted = name_lines(broad, LINE_LIST).predict_species(points[:1])
        assert "H I" not in unlisted
        assert_allclose(unlisted["unidentified"][0, between], 1.0 - profile[between], atol=0.02)


class TestAbundances:
    """Beside exact spectra, which have other oscillator strengths, damping and microturbulence."""

    @pytest.mark.parametrize("element", ["Ca", "Ti", "Si", "N"])
    @pytest.mark.parametrize("change", [-0.3, 0.1, 0.3])
    def test_changes_of_the_spectrum(self, named, element, change):
        points = nodes()[[0, 5, 7, 11]]
        emulator = named.with_abundances([element])
        found = emulator.predict(np.insert(points, 3, change, axis=1)) - named.predict(points)
        exact = spectra(points, {element: change}) - spectra(points)
        assert np.abs(exact).max() > 0.02
        for one, other in zip(found, exact, strict=True):
            assert np.linalg.norm(one - other) < 0.15 * np.linalg.norm(other)
            assert abs(one @ other / (other @ other) - 1.0) < 0.1

    @pytest.mark.parametrize("teff", [5000.0, 6000.0])
    @pytest.mark.parametrize("change", [-0.1, 0.1])
    def test_carbon(self, named, teff, change):
        """CO binds most of it in cool stars."""
        point = np.array([[teff, 4.5, 0.0]])
        exact = spectra(point, {"C": change})[0] - spectra(point)[0]
        found = named.with_abundances(["C"]).predict([[*point[0], change]]) - named.predict(point)
        assert np.linalg.norm(found[0] - exact) < 0.2 * np.linalg.norm(exact)

    def test_several_elements_at_once(self, changed, named):
        point = np.array([[5500.0, 4.5, 0.0]])
        exact = spectra(point, dict(zip(ELEMENTS, (0.2, -0.2, 0.2), strict=True))) - spectra(point)
        found = changed.predict([[*point[0], 0.2, -0.2, 0.2]]) - named.predict(point)
        assert np.linalg.norm(found - exact) < 0.15 * np.linalg.norm(exact)

    def test_the_true_list_is_nearly_exact(self):
        some = flux_emulator(nodes((5500.0, 6000.0), (4.5,), (0.0,)))
        named = name_lines(some, TRUE_LIST, microturbulence=MICROTURBULENCE)
        point = np.array([[5500.0, 4.5, 0.0]])
        for element in ("Ca", "Ti", "Si"):
            for change in (-0.3, 0.3):
                exact = spectra(point, {element: change})[0] - spectra(point)[0]
                found = named.with_abundances([element]).predict([[*point[0], change]])
                assert_allclose(found[0] - named.predict(point)[0], exact, atol=3e-3)
            exact = spectra(point, {element: 0.1})[0] - spectra(point)[0]
            found = named.with_abundances([element]).predict([[*point[0], 0.1]])
            difference = found[0] - named.predict(point)[0] - exact
            assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(exact)

    def test_scaled_solar_is_the_emulator(self, changed, named):
        points = nodes()
        same = np.concatenate([points, np.zeros((len(points), 3))], axis=1)
        assert_allclose(changed.predict(same), named.predict(points), atol=1e-12)
        slopes = changed.jacobian(same)[..., :3]
        assert_allclose(slopes * STEPS[:3], named.jacobian(points) * STEPS[:3], atol=1e-12)

    def test_jacobian_is_that_of_differences(self, changed):
        found = changed.jacobian(CHANGED)[0]
        for column, step in enumerate(STEPS * 1e-3):
            move = np.zeros(6)
            move[column] = step
            slope = (changed.predict(CHANGED + move) - changed.predict(CHANGED - move))[0]
            assert_allclose(
                found[:, column] * STEPS[column],
                slope / (2.0 * step) * STEPS[column],
                atol=2e-5,
                err_msg=changed.grid_.parameter_names[column],
            )
        assert (np.abs(found * STEPS).max(axis=0) > 2e-3).all()

    def test_other_elements_have_no_influence(self, named, changed):
        barium = named.with_abundances(["Ba", "Ca"])
        assert "Ba" not in named.elements_
        points = [[*POINT[0], change, 0.2] for change in (-0.5, 0.0, 0.5)]
        flux = barium.predict(points)
        assert_array_equal(flux[0], flux[1])
        assert_array_equal(flux[0], flux[2])
        assert (barium.jacobian(points)[..., 3] == 0).all()

    def test_elements_that_matter(self, named):
        assert named.elements_ == ("C", "Ca", "N", "O", "Si", "Ti")
        assert named.responses_.elements == named.elements_

    def test_oxygen_takes_carbon_from_other_molecules(self, named):
        point = np.array([[5000.0, 4.0, 0.0]])
        exact = spectra(point, {"O": 0.2})[0] - spectra(point)[0]
        found = named.with_abundances(["O"]).predict([[*point[0], 0.2]]) - named.predict(point)
        assert exact.max() > 0.01
        assert np.linalg.norm(found[0] - exact) < 0.2 * np.linalg.norm(exact)

    def test_lines_only_grow(self, named):
        """Also deep ones, whose cores hardly do."""
        changes = np.linspace(-0.6, 0.6, 25)
        points = [[5000.0, 4.0, 0.0, change, change] for change in changes]
        flux = named.with_abundances(["Ca", "Ti"]).predict(points)
        assert flux.min() < 0.4
        # But for what the low-rank approximation leaves.
        assert np.diff(flux, axis=0).max() < 5e-4

    def test_grid_of_abundances(self, changed):
        grid = changed.grid_
        assert grid.parameter_names == ("teff", "logg", "feh", "ca_fe", "si_fe", "ti_fe")
        assert changed.parameter_names == grid.parameter_names
        assert changed.n_features_in_ == grid.n_parameters == 6
        assert_array_equal(grid.bounds[3:], np.tile([-0.6, 0.6], (3, 1)))
        assert (grid.nodes[:, 3:] == 0).all()
        inside, outside = CHANGED[0], CHANGED[0] + [0.0, 0.0, 0.0, 0.5, 0.0, 0.0]
        assert grid.contains([inside, outside]).tolist() == [True, False]
        clipped = grid.resolve_outside([outside], "clip")[0]
        assert_allclose(clipped, [*inside[:3], 0.6, *inside[4:]])
        assert changed.distance([[5500.0, 4.5, 0.0, 0.6, 0.0, 0.0]])[0] == pytest.approx(1.0)

    def test_starting_points_have_scaled_solar_abundances(self, changed):
        """As far as the search boxes allow it."""
        boxes = np.tile(changed.grid_.bounds, (2, 1, 1))
        boxes[:, 4] = [0.1, 0.3], [0.2, 0.5]
        points = np.tile(CHANGED, (3, 1))
        found = changed.grid_.scaled_solar(points, boxes)
        assert_array_equal(found[:, :3], points[:, :3])
        assert_allclose(found[:, 3:], [[0.0, 0.15, 0.0]] * 3)
        assert_array_equal(points, np.tile(CHANGED, (3, 1)))

    def test_points_outside_are_refused(self, changed):
        with pytest.raises(ValueError, match=r"row 0 has si_fe=0.7, outside \[-0.6, 0.6\]"):
            changed.predict([[*POINT[0], 0.0, 0.7, 0.0]])

    def test_columns_of_a_table(self, changed):
        table = pd.DataFrame(CHANGED, columns=changed.grid_.parameter_names)
        assert_array_equal(changed.predict(table.iloc[:, ::-1]), changed.predict(CHANGED))

    def test_no_fit_and_no_names_again(self, changed):
        with pytest.raises(TypeError, match="cannot be fitted again: fit a NamedEmulator"):
            changed.fit(CHANGED, np.ones((1, len(WAVELENGTH))))

    def test_errors_of_the_responses(self, changed):
        independent, common = changed.model_error_.error_spectra(changed, CHANGED[0])
        assert len(common) == 3
        change = changed.jacobian(CHANGED)[0, :, 3:] * CHANGED[0, 3:]
        assert_allclose(common, 0.04 * change.T, rtol=1e-6)
        assert_allclose(
            np.sqrt((independent**2).sum(axis=0)),
            0.15 * np.sqrt((change**2).sum(axis=1)),
            atol=1e-3,
        )
        assert changed.model_error_.kernels == ()
        for none in changed.model_error_.error_spectra(changed, [*POINT[0], 0.0, 0.0, 0.0]):
            assert none.shape == (0, len(WAVELENGTH))

    def test_absolute_flux(self, part_nodes):
        """A normaliser divides by a continuum, which abundances do not change."""
        normalised = spectra(part_nodes, wavelength=PART)
        raw = normalised * part_nodes[:, :1] * 3.0
        emulator = FluxEmulator(PART, PercentileNormalizer(), medium="air").fit(part_nodes, raw)
        changed = name_lines(emulator, LINE_LIST).with_abundances(["Si"])
        point = [[*part_nodes[3], 0.2]]
        ratio = changed.predict(point, absolute=True) / changed.predict(point)
        assert_allclose(ratio, emulator.predict(part_nodes[[3]], absolute=True)
                        / emulator.predict(part_nodes[[3]]))  # fmt: skip


def test_blocks_of_wavelengths(emulator, changed, monkeypatch):
    """Long spectra are computed in parts."""
    monkeypatch.setattr(_naming, "_BLOCK", 10.0)
    parts = name_lines(emulator, LINE_LIST)
    assert len(parts.responses_.blocks) == 3
    found = parts.with_abundances(ELEMENTS)
    assert_allclose(found.predict(CHANGED), changed.predict(CHANGED), atol=0.02)
    window = (8499.0, 8511.0)
    inside = (window[0] <= WAVELENGTH) & (window[1] >= WAVELENGTH)
    cut = found.select(wavelength=window)
    assert_allclose(cut.predict(CHANGED), found.predict(CHANGED)[:, inside], atol=1e-9)
    species = parts.predict_species(POINT)
    assert_allclose(np.prod(list(species.values()), axis=0), emulator.predict(POINT), atol=1e-12)


class TestSelect:
    WINDOW = (8503.0, 8508.0)

    @pytest.fixture
    def inside(self):
        return (self.WINDOW[0] <= WAVELENGTH) & (self.WINDOW[1] >= WAVELENGTH)

    def test_named_emulator(self, named, inside):
        cut = named.select(wavelength=self.WINDOW)
        assert_array_equal(cut.wavelength_, WAVELENGTH[inside])
        assert_allclose(cut.predict(POINT), named.predict(POINT)[:, inside], atol=1e-9)
        assert len(named.wavelength_) == len(WAVELENGTH)

    def test_abundances_of_a_part(self, named, changed, inside):
        cut = named.select(wavelength=self.WINDOW).with_abundances(ELEMENTS)
        assert_allclose(cut.predict(CHANGED), changed.predict(CHANGED)[:, inside], atol=1e-7)

    def test_a_part_of_the_abundances(self, changed, inside):
        for cut in (
            changed.select(wavelength=self.WINDOW),
            changed.select(wavelength=(8501.0, 8512.0)).select(wavelength=self.WINDOW),
        ):
            assert_allclose(cut.predict(CHANGED), changed.predict(CHANGED)[:, inside], atol=1e-9)
            found = cut.jacobian(CHANGED) * STEPS
            assert_allclose(found, (changed.jacobian(CHANGED) * STEPS)[:, inside], atol=1e-9)
            for errors in cut.model_error_.error_spectra(cut, CHANGED[0]):
                assert errors.shape[1] == inside.sum()

    def test_other_pixels(self, changed):
        some = changed.select(wavelength=WAVELENGTH[100:900:3])
        assert_allclose(some.predict(CHANGED), changed.predict(CHANGED)[:, 100:900:3], atol=1e-9)
        between = 0.5 * (WAVELENGTH[1:] + WAVELENGTH[:-1])
        flux = changed.predict(CHANGED)[0]
        found = changed.select(wavelength=between).predict(CHANGED)[0]
        assert_allclose(found, 0.5 * (flux[1:] + flux[:-1]), atol=0.02)

    def test_names_of_a_part(self, named_lines):
        cut = named_lines.select(wavelength=(8505.0, 8510.0))
        n_lines = cut.emulator_.manifold_.n_lines
        assert 3 <= n_lines < len(named_lines.line_names_)
        assert len(cut.name_lines_at(POINT[0])) == n_lines
        assert len(cut.line_names_) == n_lines
        assert_allclose(cut.line_names_.center, cut.emulator_.manifold_.centers, atol=0.02)
        assert len(named_lines.line_names_) == named_lines.emulator_.manifold_.n_lines


class TestEstimator:
    def test_settings_are_those_of_the_emulator(self, named, emulator):
        for name in ("medium", "parameter_names", "extrapolate", "interpolation"):
            assert getattr(named, name) == getattr(emulator, name), name
        assert named.grid_ is emulator.grid_
        assert named.emulator_ is emulator
        assert_array_equal(named.predict(POINT), emulator.predict(POINT))
        assert_array_equal(named.jacobian(POINT), emulator.jacobian(POINT))
        assert named.score(nodes(), spectra(nodes())) > 0.999

    def test_a_frozen_emulator_is_unpacked(self, line_emulator):
        assert name_lines(FrozenEstimator(line_emulator), LINE_LIST).emulator_ is line_emulator

    def test_parameters(self, named, emulator):
        assert named.get_params(deep=False) == {
            "emulator": emulator,
            "line_list": LINE_LIST,
            "microturbulence": 1.5,
            "n_jobs": None,
        }
        other = clone(named).set_params(microturbulence=2.0, emulator__tolerance=1e-5)
        assert other.microturbulence == 2.0
        assert other.emulator.tolerance == 1e-5
        assert named.microturbulence == 1.5
        assert "LineList of 25 transitions" in repr(named)

    def test_clone_and_fit(self, line_emulator, part_nodes, named_lines):
        other = clone(named_lines)
        with pytest.raises(NotFittedError):
            other.predict(POINT)
        with pytest.raises(NotFittedError):
            other.with_abundances(["Ca"])
        other.fit(part_nodes, spectra(part_nodes, wavelength=PART))
        assert other.emulator_ is not line_emulator
        assert_array_equal(other.line_names_.species, named_lines.line_names_.species)
        point = [[*POINT[0], 0.2]]
        assert_allclose(
            other.with_abundances(["Si"]).predict(point),
            named_lines.with_abundances(["Si"]).predict(point),
            atol=1e-9,
        )

    def test_a_failed_fit_is_no_fit(self, part_nodes):
        elsewhere = LineList(
            LINE_LIST.wavelength + 500.0, LINE_LIST.species, LINE_LIST.excitation,
            LINE_LIST.log_gf, LINE_LIST.depth, "air",
        )  # fmt: skip
        named = NamedEmulator(FluxEmulator(PART, medium="air"), elsewhere)
        with pytest.raises(ValueError, match="line_list has no line"):
            named.fit(part_nodes, spectra(part_nodes, wavelength=PART))
        with pytest.raises(NotFittedError):
            named.predict(POINT)

    def test_a_name_is_given_once(self, named):
        again = name_lines(named, LINE_LIST)
        assert again.emulator_ is named.emulator_
        with pytest.raises(TypeError, match="has abundances as parameters already"):
            name_lines(named.with_abundances(["Ti"]), LINE_LIST)

    def test_an_unknown_parameter_is_said(self):
        points = nodes((5500.0, 6000.0), (4.5,), (0.0,))
        other = flux_emulator(points, parameter_names=("teff", "logg", "mh"))
        with pytest.warns(UserWarning, match="does not know the parameter 'mh'"):
            name_lines(other, LINE_LIST)

    def test_a_list_of_unknown_species(self, emulator):
        strange = replace(LINE_LIST, species=np.full(len(LINE_LIST), "Fe 1"))
        with pytest.raises(ValueError, match="no species that skphx knows, only such as 'Fe 1'"):
            name_lines(emulator, strange)

    def test_microturbulence_matters(self, named, emulator):
        turbulent = name_lines(emulator, LINE_LIST, microturbulence=3.0)
        point = [[5500.0, 4.5, 0.0, 0.3]]
        before, after = (one.with_abundances(["Ti"]).predict(point) for one in (named, turbulent))
        assert 1e-3 < np.abs(after - before).max() < 0.1

    def test_vmic_of_the_grid_is_used(self, part_nodes):
        flux = spectra(part_nodes, wavelength=PART)
        four = [np.insert(part_nodes, 3, vmic, axis=1) for vmic in (1.0, 3.0)]
        emulator = FluxEmulator(
            PART, medium="air", parameter_names=("teff", "logg", "feh", "vmic")
        ).fit(np.concatenate(four), np.concatenate([flux, flux]))
        changed = name_lines(emulator, LINE_LIST, microturbulence=9.0).with_abundances(["Ti"])
        low, high = changed.predict([[*POINT[0], vmic, 0.3] for vmic in (1.0, 3.0)])
        assert 1e-3 < np.abs(high - low).max() < 0.1

    def test_several_processes(self, line_emulator, named_lines):
        other = name_lines(line_emulator, LINE_LIST, n_jobs=2)
        assert_allclose(other.line_names_.shares, named_lines.line_names_.shares, atol=1e-12)
        point = [[*POINT[0], 0.2]]
        assert_allclose(
            other.with_abundances(["Si"]).predict(point),
            named_lines.with_abundances(["Si"]).predict(point),
            atol=1e-12,
        )

    def test_single_values_of_parameters(self):
        points = nodes((5500.0, 6000.0), (4.5,), (0.0,))
        changed = name_lines(flux_emulator(points), LINE_LIST).with_abundances(["Ca"])
        slopes = changed.jacobian([[5600.0, 4.5, 0.0, 0.1]])
        assert slopes.shape == (1, len(WAVELENGTH), 4)
        assert (slopes[..., 1:3] == 0).all()
        assert np.isfinite(slopes).all()

    def test_scattered_nodes(self):
        random = np.random.default_rng(1)
        points = random.uniform([5000.0, 4.0, -0.5], [6000.0, 4.5, 0.0], size=(12, 3))
        emulator = FluxEmulator(
            PART, medium="air", holes="interpolate", interpolation="radial"
        ).fit(points, spectra(points, wavelength=PART))
        changed = name_lines(emulator, LINE_LIST).with_abundances(["Si"])
        point = points.mean(axis=0)
        exact = spectra(point, {"Si": 0.3}, PART)[0] - spectra(point, wavelength=PART)[0]
        found = changed.predict([[*point, 0.3]]) - emulator.predict([point])
        assert np.linalg.norm(found[0] - exact) < 0.25 * np.linalg.norm(exact)
        outside = [*points.min(axis=0), 0.0]
        assert not changed.grid_.contains([outside])[0]
        assert changed.grid_.contains(changed.grid_.resolve_outside([outside], "clip"))[0]


class TestFiles:
    def copies(self, model, folder):
        yield pickle.loads(pickle.dumps(model))
        joblib.dump(model, folder / "model.joblib")
        yield joblib.load(folder / "model.joblib")
        yield load_model(save_model(folder / "model.skops", model))

    def test_named_emulator(self, named_lines, tmp_path):
        point = [[*POINT[0], 0.2, -0.1]]
        expected = named_lines.with_abundances(["Si", "Ca"]).predict(point)
        for other in self.copies(named_lines, tmp_path):
            assert isinstance(other, NamedEmulator)
            assert_array_equal(other.with_abundances(["Si", "Ca"]).predict(point), expected)
            assert other.elements_ == named_lines.elements_
            names = other.line_names_.to_pandas()
            pd.testing.assert_frame_equal(names, named_lines.line_names_.to_pandas())
            for one, before in zip(
                other.predict_species(POINT).items(),
                named_lines.predict_species(POINT).items(),
                strict=True,
            ):
                assert one[0] == before[0]
                assert_allclose(one[1], before[1], atol=1e-12)

    def test_emulator_with_abundances(self, changed, tmp_path):
        for other in self.copies(changed, tmp_path):
            assert_array_equal(other.predict(CHANGED), changed.predict(CHANGED))
            assert_array_equal(other.jacobian(CHANGED), changed.jacobian(CHANGED))
            for one, before in zip(
                other.model_error_.error_spectra(other, CHANGED[0]),
                changed.model_error_.error_spectra(changed, CHANGED[0]),
                strict=True,
            ):
                assert_array_equal(one, before)

    def test_estimator(self, named_lines, tmp_path):
        estimator = StellarParameterEstimator.from_emulator(
            named_lines, random_state=0, n_initial_points=10
        )
        star = {"wavelength": PART, "flux": spectra(POINT, {"Si": 0.2}, PART)[0], "sigma": 0.01}
        before = estimator.infer(star, medium="air", abundances=("Si",))
        loaded = load_model(save_model(tmp_path / "estimator.skops", estimator))
        after = loaded.infer(star, medium="air", abundances=("Si",))
        assert_allclose(after.parameters, before.parameters, rtol=1e-8)


class TestCalibrated:
    def test_names_of_a_calibrated_emulator(self, calibrated, named_lines):
        named = name_lines(calibrated, LINE_LIST)
        assert named.emulator_ is calibrated
        assert_array_equal(named.predict(POINT), calibrated.predict(POINT))
        names, before = named.line_names_, named_lines.line_names_
        strong = before.area > 0.02
        assert_array_equal(names.species[strong], before.species[strong])
        # Areas are those of the corrected lines.
        assert_allclose(np.median(np.log(names.area / before.area)), np.log(1.2), atol=0.1)

    def test_its_errors_are_kept(self, calibrated):
        """Those of its lines, with abundances and without."""
        named = name_lines(calibrated, LINE_LIST)
        assert named.model_error_ is calibrated.model_error_
        changed = named.with_abundances(["Si"])
        assert changed.model_error_.of_lines is calibrated.model_error_
        assert changed.model_error_.kernels == calibrated.model_error_.kernels
        point = [*POINT[0], 0.3]
        found = changed.model_error_.error_spectra(changed, point)
        without = calibrated.model_error_.error_spectra(calibrated, POINT[0])
        for one, other in zip(found, without, strict=True):
            assert len(one) > len(other) > 0
            assert one.shape[1] == len(PART)
        star = {"wavelength": PART, "flux": spectra(POINT, None, PART)[0] ** 1.2, "sigma": 0.004}
        make = partial(
            StellarParameterEstimator.from_emulator, random_state=0, n_initial_points=10
        )
        plain, after = (
            make(one).infer(star, medium="air", model_error=True) for one in (calibrated, named)
        )
        assert_allclose(after.errors, plain.errors, rtol=1e-6)


class TestCompiled:
    def test_names_are_kept(self, compiled, named_lines):
        inner = compiled.emulator_.estimator
        assert isinstance(inner, NamedEmulator)
        assert isinstance(inner.emulator_, FluxEmulator)
        assert inner.line_list is not None
        assert set(ELEMENTS) <= set(inner.elements_)
        assert inner.resolution_ == 20_000.0
        assert compiled.emulator_.compile_rms_ < 0.01
        assert compiled.emulator_.compile_max_ < 0.1

    def test_changes_are_those_at_its_resolution(self, compiled, part_nodes):
        point = part_nodes[-1]
        inner = compiled.emulator_.estimator
        changed = inner.with_abundances(["Si"])
        found = changed.predict([[*point, 0.3]]) - inner.predict([point])
        star = ObservedSpectrum(
            inner.wavelength_, np.ones(len(inner.wavelength_)), resolution=20_000.0
        )
        forward = ForwardModel(PART, star)
        exact = spectra(point, {"Si": 0.3}, PART) - spectra(point, wavelength=PART)
        exact = forward.observe(1.0 + exact)[0] - 1.0
        seen = np.asarray(forward.covered)
        assert seen.mean() > 0.9
        difference = (found[0] - exact)[seen]
        assert np.linalg.norm(difference) < 0.15 * np.linalg.norm(exact[seen])

    def test_it_infers_abundances(self, compiled, line_emulator):
        wavelength = np.arange(8504.5, 8513.0, 0.1)
        point = np.array([5600.0, 4.3, -0.2])
        change = spectra(point, {"Si": 0.25}, PART) - spectra(point, wavelength=PART)
        forward = ForwardModel(
            PART, ObservedSpectrum(wavelength, np.ones(len(wavelength)), resolution=20_000.0)
        )
        star = {
            "wavelength": wavelength,
            "flux": forward.observe(line_emulator.predict([point]) + change)[0],
            "sigma": 0.003,
            "resolution": 20_000.0,
        }
        result = compiled.infer(star, medium="air", abundances=("Si",))
        assert result.parameter_names == ("teff", "logg", "feh", "si_fe")
        assert abs(result.parameters[3] - 0.25) < 3.0 * result.errors[3]
        assert result.errors[3] < 0.1


class TestMessages:
    @pytest.mark.parametrize(
        ("elements", "error", "message"),
        [
            (
                "Ca",
                TypeError,
                r"sequence of symbols of elements, such as \('Ca', 'Ti'\), got 'Ca'",
            ),
            ((20,), TypeError, r"sequence of symbols of elements.*got \(20,\)"),
            (None, TypeError, "sequence of symbols of elements.*got None"),
            (
                ("Xx",),
                ValueError,
                "names 'Xx', which is no element that skphx knows; give symbols",
            ),
            (("ca",), ValueError, "names 'ca', which is no element"),
            (("Ca", "Ti", "Ca"), ValueError, "names 'Ca' twice; name each element once"),
            (("Ca", "Fe"), ValueError, r"names 'Fe': abundances are relative to iron.*\[Fe/H\]"),
            (("H",), ValueError, "names 'H'.*leave 'H' out"),
            (("He",), ValueError, "names 'He'.*leave 'He' out"),
        ],
    )
    def test_elements(self, named, elements, error, message):
        with pytest.raises(error, match=message):
            named.with_abundances(elements)
        estimator = StellarParameterEstimator.from_emulator(named)
        star = {"wavelength": WAVELENGTH, "flux": spectra(POINT)[0], "sigma": 0.01}
        with pytest.raises(error, match=message):
            estimator.infer(star, abundances=elements)

    def test_any_iterable_of_elements_will_do(self, named):
        for elements in (["Ca", "Ti"], np.array(["Ca", "Ti"]), iter(["Ca", "Ti"])):
            names = named.with_abundances(elements).grid_.parameter_names
            assert names[3:] == ("ca_fe", "ti_fe")

    def test_an_abundance_that_the_grid_has(self, part_nodes):
        flux = spectra(part_nodes, wavelength=PART)
        more = [np.insert(part_nodes, 3, change, axis=1) for change in (-0.2, 0.2)]
        names = ("teff", "logg", "feh", "ca_fe")
        emulator = FluxEmulator(PART, medium="air", parameter_names=names)
        named = name_lines(
            emulator.fit(np.concatenate(more), np.concatenate([flux, flux])), LINE_LIST
        )
        with pytest.raises(ValueError, match="ca_fe is a parameter of the grid and is inferred"):
            named.with_abundances(["Ca"])
        assert named.with_abundances(["Si"]).grid_.parameter_names == (*names, "si_fe")

    def refused(self, error, message, emulator=None, line_list=LINE_LIST, **settings):
        points = nodes((5500.0, 6000.0), (4.5,), (0.0,))
        flux = spectra(points, wavelength=PART)
        emulator = FluxEmulator(PART, medium="air") if emulator is None else emulator
        with pytest.raises(error, match=message):
            name_lines(clone(emulator).fit(points, flux), line_list, **settings)
        with pytest.raises(error, match=message):
            NamedEmulator(emulator, line_list, **settings).fit(points, flux)

    def test_no_medium(self):
        message = r"wavelengths in air, but the medium of the emulator is unknown.*set_params"
        self.refused(ValueError, message, FluxEmulator(PART))

    @pytest.mark.parametrize(
        ("names", "missing"),
        [(("t", "logg", "feh"), "teff"), (("teff", "g", "feh"), "logg"), (None, "teff")],
    )
    def test_no_temperature_or_gravity(self, names, missing):
        emulator = FluxEmulator(PART, medium="air", parameter_names=names)
        message = rf"must have the parameters teff and logg.*has no {missing}.*parameter_names="
        self.refused(ValueError, message, emulator)

    def test_no_lines_in_the_wavelengths(self):
        elsewhere = LineList(
            LINE_LIST.wavelength + 500.0, LINE_LIST.species, LINE_LIST.excitation,
            LINE_LIST.log_gf, LINE_LIST.depth, "air",
        )  # fmt: skip
        message = r"no line within the emulator's wavelengths, 8503.8 to .*LineList of 25"
        self.refused(ValueError, message, line_list=elsewhere)
        empty = LineList(*(np.empty(0) for _ in range(5)), "air")
        self.refused(ValueError, "no line within .*LineList of no transitions", line_list=empty)

    def test_no_line_list(self):
        message = r"line_list must be a LineList, got str; read one with skphx.species.read_vald"
        self.refused(TypeError, message, line_list="vald.txt")

    def test_negative_microturbulence(self):
        self.refused(ValueError, "microturbulence == -1.0, must be >= 0", microturbulence=-1.0)
        self.refused(TypeError, "microturbulence must be an instance of", microturbulence="1.5")

    def test_an_emulator_that_is_not_fitted(self):
        with pytest.raises(NotFittedError):
            name_lines(FluxEmulator(PART, medium="air"), LINE_LIST)
