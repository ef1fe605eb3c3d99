"""Pixels near lines of chosen species are left out, wherever the star has them."""

from copy import deepcopy

import joblib
import numpy as np
import pytest
from astropy import units as u
from sklearn.base import clone

from skphx import load_model, make_stellar_estimator, save_model
from skphx.datasets import make_stellar_grid
from skphx.inference import LineMask, ObservationModel, compare_emulators
from skphx.inference._outside_lines import _first_velocity
from skphx.observing import ObservedSpectrum, vacuum_to_air
from skphx.species import LineList

LIGHT = 299792.458
TRUTH = np.array([5500.0, 4.0, 0.0])
VELOCITY = 40.0
PIXELS = np.arange(8502.0, 8538.0, 0.04)
RANGE = (0.0, 80.0)


def list_of(wavelength, species, depth, medium="vacuum"):
    zeros = np.zeros(len(wavelength))
    return LineList(np.array(wavelength), np.array(species), zeros, zeros, np.array(depth), medium)


FOUR = list_of(
    [8498.0, 8502.5, 8520.0, 8535.0], ["Ca II", "H I", "Fe I", "Ca II"], [0.8, 0.02, 0.3, 0.05]
)


def shifted(wavelength, velocity):
    """Observed wavelength, from the relativistic Doppler formula."""
    beta = velocity / LIGHT
    return wavelength * np.sqrt((1 + beta) / (1 - beta))


class TestMasked:
    # No pixel is at an edge of a mask, where rounding decides.
    wavelength = np.arange(8490.003, 8545.0, 0.01)

    def near(self, center, width, velocity=0.0):
        rest = self.wavelength / shifted(1.0, velocity)
        return abs(rest - center) <= width

    def test_pixels_are_those_near_a_line_at_the_velocity(self):
        for velocity in (0.0, 40.0, -100.0):
            masked = LineMask(FOUR, "Ca II", 2.0).masked(self.wavelength, "vacuum", velocity)
            np.testing.assert_array_equal(masked, self.near(8498.0, 2.0, velocity))
            assert 390 < masked.sum() < 410

    def test_hydrogen_and_lines_without_a_depth_count_whatever_min_depth_is(self):
        lines = LineMask(FOUR, ("H I", "Ca II"), 1.0, min_depth=0.5)
        expected = self.near(8498.0, 1.0) | self.near(8502.5, 1.0)
        np.testing.assert_array_equal(lines.masked(self.wavelength, "vacuum"), expected)
        bare = list_of(FOUR.wavelength, FOUR.species, np.full(4, np.nan))
        masked = LineMask(bare, "Ca II", 1.0).masked(self.wavelength, "vacuum")
        np.testing.assert_array_equal(masked, self.near(8498.0, 1.0) | self.near(8535.0, 1.0))

    def test_each_species_has_its_width(self):
        lines = LineMask(FOUR, width={"H I": 5.0 * u.AA, "Fe I": 0.25 * u.nm})
        assert lines.species == ("H I", "Fe I")
        assert lines.widths == pytest.approx({"H I": 5.0, "Fe I": 2.5})
        expected = self.near(8502.5, 5.0) | self.near(8520.0, 2.5)
        np.testing.assert_array_equal(lines.masked(self.wavelength, "vacuum"), expected)

    def test_a_range_of_velocities_masks_what_any_of_them_does(self):
        lines = LineMask(FOUR, ("H I", "Fe I"), 0.5)
        within = lines.masked(self.wavelength, "vacuum", (-30.0, 60.0))
        each = [
            lines.masked(self.wavelength, "vacuum", velocity)
            for velocity in np.linspace(-30.0, 60.0, 901)
        ]
        np.testing.assert_array_equal(within, np.any(each, axis=0))
        assert within.sum() > each[0].sum()

    def test_air_and_vacuum(self):
        lines = LineMask(FOUR, "Ca II", 1.0)
        in_vacuum = lines.masked(self.wavelength, "vacuum")
        in_air = lines.masked(vacuum_to_air(self.wavelength), "air")
        # Widths in air and vacuum differ by a few parts in ten thousand.
        assert abs(np.flatnonzero(in_vacuum)[[0, -1]] - np.flatnonzero(in_air)[[0, -1]]).max() <= 1
        assert not (in_vacuum & lines.masked(self.wavelength, "air")).any()

    def test_pixels_in_any_order_also_beside_all_lines(self):
        lines = LineMask(FOUR, "Fe I", 1.0)
        pixels = [8600.0, 8520.5, np.nan, 8400.0, 8519.0, 8521.01]
        assert lines.masked(pixels, "vacuum").tolist() == [False, True, False, False, True, False]

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"line_list": ["Ca II"]}, TypeError, "line_list must be a LineList.*got list"),
            ({"species": None}, ValueError, "species must be given"),
            ({"species": ()}, ValueError, "species must be given"),
            ({"species": (3,)}, TypeError, r"species must be names.*got \(3,\)"),
            ({"width": {"H I": 2.0}}, ValueError, "same species, got Ca II and H I; leave"),
            ({"width": 0.0}, ValueError, "width must be a positive number, in Å, got 0.0"),
            ({"width": [1.0, 2.0]}, ValueError, "width must be a positive number"),
            ({"width": {"Ca II": -1}}, ValueError, "width of 'Ca II' must be a positive number"),
            ({"width": 3.0 * u.s}, ValueError, "width must have a unit of length, got s"),
            ({"min_depth": 1.5}, ValueError, "min_depth must be from 0 to 1, got 1.5"),
        ],
    )
    def test_bad_settings(self, arguments, error, message):
        with pytest.raises(error, match=message):
            LineMask(**{"line_list": FOUR, "species": "Ca II"} | arguments)

    @pytest.mark.parametrize(
        ("medium", "velocity", "message"),
        [
            ("water", 0.0, "medium must be 'air' or 'vacuum'"),
            ("air", (1.0, 2.0, 3.0), r"velocity must be a number in km/s, or \(low, high\)"),
            ("air", 4e5, "velocity must be a number in km/s"),
        ],
    )
    def test_bad_arguments(self, medium, velocity, message):
        with pytest.raises(ValueError, match=message):
            LineMask(FOUR, "Ca II").masked([8500.0], medium, velocity)


class TestCheckRange:
    def test_species_that_are_there_are_named_most_frequent_first(self):
        names = [f"X{number}" for number in range(12)]
        species = ["Fe I", "Fe I", "Ca II", "Ca II", "Ca II", *names]
        known = list_of(8500.0 + np.arange(len(species)), species, np.full(len(species), 0.3))
        LineMask(known, "Ca II").check_range(8500.0, 8600.0, "vacuum")
        with pytest.raises(ValueError, match="no transition of 'H I' between") as raised:
            LineMask(known, ("Ca II", "H I")).check_range(8500.0, 8600.0, "vacuum")
        named = str(raised.value).partition("there ")[2].partition(" and others")[0].split(", ")
        assert named[:2] == ["Ca II", "Fe I"]
        assert len(named) == 10

    def test_a_species_may_be_elsewhere_or_too_weak(self):
        with pytest.raises(
            ValueError, match=r"no transition of 'Ca II' between.*has there Fe I\."
        ):
            LineMask(FOUR, "Ca II").check_range(8510.0, 8530.0, "vacuum")
        with pytest.raises(ValueError, match=r"min_depth=0.1 or more .*the deepest has 0.05"):
            LineMask(FOUR, "Ca II").check_range(8510.0, 8540.0, "vacuum")
        with pytest.raises(ValueError, match="its list has there no transition"):
            LineMask(FOUR, "Ca II").check_range(5000.0, 5100.0, "vacuum")


@pytest.fixture(scope="module")
def grid():
    return make_stellar_grid(
        teff=(5000, 5500, 6000),
        logg=(3.5, 4.0, 4.5),
        feh=(-0.5, 0.0, 0.5),
        wavelength=(8499.0, 8541.0),
        n_pixels=2101,
        n_lines=24,
        random_state=2,
        medium="vacuum",
        return_lines=True,
    )


@pytest.fixture(scope="module")
def lines(grid):
    """Mask of the three strongest lines that all stars of the tests have."""
    center, area = grid.lines.center, grid.lines.area.mean(axis=0)
    area = np.where((center > 8504.0) & (center < 8534.0), area, 0.0)
    strongest = np.isin(np.arange(len(center)), np.argsort(-area)[:3])
    species = np.where(strongest, "Ca II", "Fe I")
    return LineMask(list_of(center, species, np.full(len(center), 0.5)), "Ca II", width=0.8)


@pytest.fixture(scope="module")
def estimator(grid):
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    return estimator.fit(grid.spectra, grid.parameters)


def observed(grid, lines, velocity=VELOCITY, pixels=PIXELS, faulty=True):
    """A star whose masked lines have emission that no model has."""
    row = np.flatnonzero((grid.parameters == TRUTH).all(axis=1))[0]
    flux = np.interp(
        pixels, shifted(grid.wavelength, velocity), grid.spectra[row] / grid.continuum[row]
    )
    if faulty:
        chosen = lines.line_list.species == "Ca II"
        for center in shifted(lines.line_list.wavelength[chosen], velocity):
            flux += 0.3 * np.exp(-0.5 * ((pixels - center) / 0.15) ** 2)
    return {"wavelength": pixels, "flux": flux, "sigma": 0.005, "medium": "vacuum"}


def assert_found(result, velocity=VELOCITY):
    """The star is found, nearly as well as without fault."""
    off = np.append(result.parameters[:3] - TRUTH, result["velocity"] - velocity)
    assert (abs(off) < [20.0, 0.05, 0.02, 0.2]).all(), off
    assert result.reduced_chi2 < 0.1


class TestInfer:
    def test_faulty_lines_have_no_influence(self, estimator, grid, lines):
        star = observed(grid, lines)
        spoilt = estimator.infer(star, velocity=RANGE)
        assert (abs(spoilt.parameters[1:3] - TRUTH[1:]) > [0.1, 0.08]).all()
        assert spoilt.reduced_chi2 > 4.0
        result = estimator.infer(star, velocity=RANGE, line_mask=lines)
        assert_found(result)
        left_out = np.isnan(result.residual[0])
        masked = lines.masked(PIXELS, "vacuum", result["velocity"])
        np.testing.assert_array_equal(left_out, masked | np.isnan(spoilt.residual[0]))
        assert result.n_pixels == spoilt.n_pixels - masked.sum()
        assert "uncovered" not in result.flags

    def test_both_fits_are_counted(self, estimator, grid, lines):
        star = observed(grid, lines)
        result = estimator.infer(star, velocity=RANGE, line_mask=lines)
        once = estimator.infer(star, velocity=VELOCITY, line_mask=lines)
        assert result.n_shared_evaluations == 2 * once.n_shared_evaluations
        np.testing.assert_allclose(once.parameters, TRUTH, atol=20.0)

    @pytest.mark.parametrize("velocity", [(0.0, 80.0), (-400.0, 400.0)])
    def test_the_first_fit_leaves_the_range_out_if_half_of_the_pixels_remain(
        self, estimator, grid, lines, velocity
    ):
        star = observed(grid, lines)
        segment = ObservedSpectrum(**star)
        first = _first_velocity([segment], lines, velocity, (8499.0, 8541.0))
        assert first == (velocity if velocity[1] < 100.0 else None)
        assert_found(estimator.infer(star, velocity=velocity, line_mask=lines))

    def test_pixels_beyond_the_model_are_no_reason_to_leave_more_out(self, lines):
        pixels = np.arange(8000.0, 9000.0, 0.04)
        segment = ObservedSpectrum(pixels, np.ones(len(pixels)), medium="vacuum")
        limits = (8499.0, 8541.0)
        assert _first_velocity([segment], lines, (-400.0, 400.0), limits) is None

    def test_the_mask_follows_each_star_and_each_segment(self, estimator, grid, lines):
        stars = [observed(grid, lines, velocity) for velocity in (40.0, 15.0)]
        exposures = [
            observed(grid, lines, velocity) | {"velocity": velocity - 20.0}
            for velocity in (30.0, 10.0)
        ]
        results = estimator.infer([*stars, exposures], velocity=RANGE, line_mask=lines)
        for result, velocity in zip(results, (40.0, 15.0, 20.0), strict=True):
            assert_found(result, velocity)
        assert not np.array_equal(*map(np.isnan, results[2].residual))

    def test_a_star_in_air(self, estimator, grid, lines):
        star = observed(grid, lines)
        star |= {"wavelength": vacuum_to_air(PIXELS), "medium": "air"}
        assert_found(estimator.infer(star, velocity=RANGE, line_mask=lines))

    def test_a_list_is_still_a_list_of_stars(self, estimator, grid, lines):
        star = observed(grid, lines)
        blue = star | {"wavelength": PIXELS[:400], "flux": star["flux"][:400]}
        red = star | {"wavelength": PIXELS[400:], "flux": star["flux"][400:]}
        assert_found(estimator.infer([[blue, red]], velocity=RANGE, line_mask=lines)[0])
        with pytest.raises(ValueError, match="spectra 0 and 1 of this list hardly overlap"):
            estimator.infer([blue, red], velocity=RANGE, line_mask=lines)

    def test_nothing_but_masked_lines(self, estimator, grid, lines):
        star = observed(grid, lines)
        wide = LineMask(lines.line_list, "Fe I", width=100.0)
        with pytest.raises(ValueError, match=r"0 good pixels .*and the line_mask"):
            estimator.infer(star, velocity=RANGE, line_mask=wide)

    def test_a_species_that_is_not_there(self, estimator, grid, lines):
        other = LineMask(lines.line_list, "H I")
        with pytest.raises(ValueError, match=r"'H I' between 8499 and 8541 Å.*there Fe I, Ca II"):
            estimator.infer(observed(grid, lines), line_mask=other)

    def test_the_medium_must_be_known(self, grid, lines):
        unknown = make_stellar_estimator(grid.wavelength, lines=False, random_state=0)
        unknown.fit(grid.spectra, grid.parameters)
        star = observed(grid, lines) | {"medium": None}
        with pytest.raises(
            ValueError, match="line_mask has wavelengths in vacuum, but the medium"
        ):
            unknown.infer(star, line_mask=lines)

    def test_another_type_is_refused(self, estimator, grid, lines):
        with pytest.raises(TypeError, match=r"line_mask must be a LineMask.*got LineList"):
            estimator.infer(observed(grid, lines), line_mask=lines.line_list)

    def test_emulators_are_compared_on_the_same_pixels(self, estimator, grid, lines):
        coarse = make_stellar_estimator(
            grid.wavelength[::3], medium="vacuum", lines=False, random_state=0
        )
        coarse.fit(grid.spectra[:, ::3], grid.parameters)
        star = observed(grid, lines)
        for settings in (
            {"velocity": RANGE, "line_mask": lines},
            {"observation_model": ObservationModel(velocity=RANGE, line_mask=lines)},
        ):
            found = compare_emulators({"fine": estimator, "coarse": coarse}, star, **settings)
            assert_found(found.results["fine"])
            fine, other = (np.isnan(one.residual[0]) for one in found.results.values())
            np.testing.assert_array_equal(fine, other)


@pytest.fixture(scope="module")
def keeping(grid, lines):
    kept = ObservationModel(velocity=RANGE, line_mask=lines)
    estimator = make_stellar_estimator(grid, lines=False, random_state=0, observation_model=kept)
    return estimator.fit(grid.spectra, grid.parameters)


class TestKept:
    """A mask that is kept with a model."""

    def test_a_kept_mask_is_used_and_can_be_left_out(self, keeping, estimator, grid, lines):
        star = observed(grid, lines)
        assert_found(keeping.infer(star))
        without = keeping.infer(star, line_mask=None)
        plain = estimator.infer(star, velocity=RANGE)
        np.testing.assert_array_equal(without.parameters, plain.parameters)
        with pytest.raises(ValueError, match="either observation_model or line_mask, not both"):
            keeping.infer(star, observation_model=ObservationModel(), line_mask=lines)

    @pytest.mark.parametrize("width", [0.8, {"Ca II": 0.8}])
    def test_it_is_saved_with_the_model(self, keeping, grid, lines, tmp_path, width):
        star = observed(grid, lines)
        expected = keeping.infer(star)
        species = None if isinstance(width, dict) else ["Ca II"]
        copy = LineMask(lines.line_list, species, width)
        model = deepcopy(keeping).set_params(observation_model__line_mask=copy)
        save_model(tmp_path / "model.skops", model)
        joblib.dump(model, tmp_path / "model.joblib")
        for loaded in (
            load_model(tmp_path / "model.skops"),
            joblib.load(tmp_path / "model.joblib"),
        ):
            kept = loaded.observation_model.line_mask
            assert kept.widths == {"Ca II": 0.8}
            assert repr(kept.line_list) == repr(lines.line_list)
            np.testing.assert_array_equal(loaded.infer(star).parameters, expected.parameters)

    def test_clones_and_settings(self, keeping, estimator, lines):
        copy = clone(keeping)
        assert copy.observation_model.line_mask.widths == lines.widths
        copy.set_params(observation_model__line_mask=None)
        assert copy.observation_model == ObservationModel(velocity=RANGE)
        fresh = clone(estimator).set_params(observation_model__line_mask=lines)
        assert fresh.observation_model.line_mask is lines
        with pytest.raises(TypeError, match="line_mask must be a LineMask"):
            fresh.set_params(observation_model__line_mask="Ca II")
