"""Displays: what they compute, and that they draw it where they are told."""

import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from detected import detected_cloner
from scipy.integrate import trapezoid
from sklearn.utils import Bunch

mpl.use("Agg")
import matplotlib.pyplot as plt

from skphx import LineManifoldRegressor, VoigtCloner, inspection
from skphx.inspection import (
    BetweenNodesDisplay,
    CalibrationDisplay,
    EmulatorErrorDisplay,
    LineCountDisplay,
    LineTableDisplay,
    ManifoldDisplay,
    ParameterErrorDisplay,
    PosteriorDisplay,
    RenderTimeDisplay,
    ResidualDisplay,
    SensitivityDisplay,
    SpeciesDisplay,
)
from skphx.inspection._axes import spread
from skphx.inspection._posterior import _levels_that_enclose
from skphx.metrics import flux_rms
from skphx.paper import PaperEmulator

pytestmark = pytest.mark.slow

STAR = (5300.0, 4.2, -0.3)
NAMES = ("teff", "logg", "feh")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def emulator(fitted_emulator):
    return fitted_emulator


@pytest.fixture(scope="module")
def sparse_emulator(grid):
    """Lines detected at each node: some nodes lack some."""
    cloner = detected_cloner(grid.wavelength, target_rms=None, n_epochs=5)
    return PaperEmulator(cloner).fit(grid.parameters, grid.normalised)


@pytest.fixture(scope="module")
def displays(emulator, grid, held_out):
    """One of each."""
    truth = held_out.parameters
    return {
        "between": BetweenNodesDisplay.from_estimator(emulator, STAR),
        "calibration": CalibrationDisplay(
            "corrections",
            {
                "center": [8502.0, 8510.0, 8511.0],
                "species": ["Fe I", "Ca II", ""],
                "depth": [0.1, 2.0, 0.3],
            }
            | {name: [0.1, -0.2, 0.0] for name in ("strength", "width")}
            | {name: [0.05, 0.1, 0.2] for name in ("strength_error", "width_error")},
        ),
        "left out": CalibrationDisplay(
            "left_out",
            {
                "names": ["A", "B"],
                "parameter_names": NAMES,
                "shift": [[50.0, 0.1, 0.0], [-20.0, 0.0, 0.1]],
                "error": [[30.0, 0.1, 0.1], [30.0, 0.1, 0.1]],
            },
        ),
        "before and after": CalibrationDisplay(
            "star",
            {
                "wavelength": grid.wavelength,
                "segment": np.zeros(len(grid.wavelength), dtype=int),
                "flux": grid.normalised[0],
                "uncorrected": grid.normalised[1],
                "corrected": grid.normalised[0],
            },
        ),
        "count": LineCountDisplay.from_estimator(emulator),
        "error": EmulatorErrorDisplay.from_estimator(emulator, truth, held_out.spectra),
        "manifold": ManifoldDisplay.from_estimator(emulator, 0),
        "curve": ManifoldDisplay.from_estimator(emulator, 0, y=None, n_points=7),
        "parameters": ParameterErrorDisplay(truth, truth + 0.1, NAMES, y_err=0 * truth + 0.1),
        "posterior": PosteriorDisplay.from_gaussian(STAR, np.diag([100.0, 0.01, 0.01]), NAMES),
        "residual": ResidualDisplay.from_estimator(emulator.cloner_, grid.normalised),
        "sensitivity": SensitivityDisplay.from_estimator(emulator, STAR),
        "species": SpeciesDisplay(
            grid.wavelength,
            np.full(len(grid.wavelength), 0.72),
            {
                "Fe I": np.full(len(grid.wavelength), 0.8),
                "others": np.full(len(grid.wavelength), 0.9),
            },
        ),
        "table": LineTableDisplay.from_estimator(emulator, STAR),
        "time": RenderTimeDisplay([1, 2], [0.1, 0.1], [0.1, 0.2]),
    }


KINDS = [
    "between",
    "calibration",
    "left out",
    "before and after",
    "count",
    "error",
    "manifold",
    "curve",
    "parameters",
    "posterior",
    "residual",
    "sensitivity",
    "species",
    "table",
    "time",
]


class TestContract:
    def test_every_display_is_tried(self, displays):
        tried = {type(display).__name__ for display in displays.values()}
        assert tried == set(inspection.__all__)
        assert set(displays) == set(KINDS)

    @pytest.mark.parametrize("kind", KINDS)
    def test_draws_on_a_figure_of_its_own(self, displays, kind):
        display = displays[kind]
        assert display.plot() is display
        first = display.figure_
        assert display.ax_.figure is first
        display.plot()
        assert display.figure_ is not first
        display.figure_.canvas.draw()

    @pytest.mark.parametrize("kind", KINDS)
    def test_draws_where_it_is_told(self, displays, kind):
        figure, (left, right) = plt.subplots(1, 2, figsize=(14, 7), layout="constrained")
        display = displays[kind].plot(right)
        assert display.figure_ is figure
        figure.canvas.draw()
        boundary = left.get_position().x1
        for ax in np.ravel(getattr(display, "axes_", display.ax_)):
            assert ax.get_position().x0 > boundary
        assert not left.has_data()

    def test_axes_placed_by_hand_cannot_be_divided(self, displays):
        ax = plt.figure().add_axes([0.1, 0.1, 0.8, 0.8])
        with pytest.raises(ValueError, match=r"ax must come from plt\.subplots"):
            displays["residual"].plot(ax)

    def test_without_matplotlib_the_remedy_is_named(self, displays, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"pip install 'skphx\[plot\]'"):
            displays["count"].plot()

    def test_computing_loads_no_matplotlib(self):
        code = (
            "import sys; from skphx import inspection\n"
            "for name in inspection.__all__: getattr(inspection, name)\n"
            "inspection.PosteriorDisplay([[1.0, 2.0]], ('teff', 'logg'))\n"
            "print(sorted({'matplotlib', 'torch', 'numba', 'astropy'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestLineCount:
    def test_counts_lines_that_are_deep_enough(self, emulator, grid):
        for min_depth in (0.0, 0.02, 0.3):
            display = LineCountDisplay.from_estimator(
                emulator, at={"feh": 0.0}, min_depth=min_depth
            )
            assert display.counts.shape == (2, 3)
            assert display.title == "[Fe/H] = 0"
            row = np.flatnonzero((grid.parameters == (5500, 4.5, 0.0)).all(axis=1))
            depth = _depths(emulator.lines_[row[0]])
            assert display.counts[1, 1] == (depth >= min_depth).sum()

    def test_absent_lines_are_not_counted(self, sparse_emulator, grid):
        assert not sparse_emulator.present_.all()
        counts = LineCountDisplay.from_estimator(sparse_emulator, at={"feh": -0.5}, min_depth=0.0)
        slice_ = grid.parameters[:, 2] == -0.5
        expected = sparse_emulator.present_[slice_].sum(axis=1).reshape(3, 2).T
        np.testing.assert_array_equal(counts.counts, expected)

    def test_where_the_grid_has_a_hole_there_is_no_count(self, grid):
        rows = np.arange(len(grid.parameters)) > 0  # the first node lies at a corner
        cloner = VoigtCloner(grid.wavelength, target_rms=None, max_iter=2)
        emulator = LineManifoldRegressor(cloner, holes="interpolate", smoothness=0).fit(
            grid.parameters[rows], grid.normalised[rows]
        )
        counts = LineCountDisplay.from_estimator(emulator, at={"feh": -0.5}).counts
        inside = emulator.grid_.contains([[5000, 4.0, -0.5]])[0]
        assert np.isnan(counts[0, 0]) == (not inside)
        assert np.isfinite(counts[1, 1])

    def test_bad_slices(self, emulator):
        with pytest.raises(ValueError, match=r"parameters are teff, logg, feh, got 'mass'"):
            LineCountDisplay.from_estimator(emulator, x="mass")
        with pytest.raises(ValueError, match="at must fix parameters that are not drawn"):
            LineCountDisplay.from_estimator(emulator, at={"teff": 5000})


class TestManifold:
    def test_nodes_are_the_fitted_lines(self, sparse_emulator, grid):
        slice_ = grid.parameters[:, 2] == -0.5
        share = sparse_emulator.present_[slice_].mean(axis=0)
        line = int(np.argmin(abs(share - 0.5)))
        display = ManifoldDisplay.from_estimator(
            sparse_emulator, line, at={"feh": -0.5}, quantities=("log_sigma",)
        )
        expected = np.where(
            sparse_emulator.present_[slice_, line], sparse_emulator.lines_[slice_, line, 2], np.nan
        )
        np.testing.assert_allclose(display.values["log_sigma"], expected.reshape(3, 2).T)
        assert np.isnan(display.values["log_sigma"]).any()

    def test_supersampling_goes_through_the_nodes(self, emulator):
        coarse = ManifoldDisplay.from_estimator(emulator, 2)
        fine = ManifoldDisplay.from_estimator(emulator, 2, n_points=9)
        np.testing.assert_allclose(fine.values["log_area"][::8, ::4], coarse.values["log_area"])
        assert len(fine.nodes) == 6
        assert coarse.nodes is None

    def test_a_curve_along_one_parameter(self, emulator):
        plane = ManifoldDisplay.from_estimator(emulator, 2, at={"feh": 0.0}, n_points=5)
        curve = ManifoldDisplay.from_estimator(
            emulator, 2, y=None, at={"feh": 0.0, "logg": 4.5}, n_points=5
        )
        np.testing.assert_allclose(curve.values["log_area"], plane.values["log_area"][-1])
        assert curve.y_values is None

    def test_a_wavelength_stands_for_its_strongest_line(self, emulator):
        depth = _depths(emulator.lines_).max(axis=0)
        center = emulator.lines_[..., 0].mean(axis=0)
        for line in np.flatnonzero(depth > 0.2):
            within = abs(center - center[line]) <= 0.1
            strongest = np.flatnonzero(within)[np.argmax(depth[within])]
            by_wavelength = ManifoldDisplay.from_estimator(emulator, float(center[line]))
            by_number = ManifoldDisplay.from_estimator(emulator, int(strongest))
            np.testing.assert_array_equal(
                by_wavelength.values["log_area"], by_number.values["log_area"]
            )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"line": 999}, "line must be a number from 0 to"),
            ({"line": 4000.0}, "line must lie in the emulator's wavelengths"),
            ({"line": 0, "quantities": ("depth",)}, "quantities must be some of center"),
            ({"line": 0, "quantities": ()}, "quantities must be some of center"),
        ],
    )
    def test_bad_arguments(self, emulator, arguments, message):
        with pytest.raises(ValueError, match=message):
            ManifoldDisplay.from_estimator(emulator, **arguments)


class TestBetweenNodes:
    def test_nodes_on_either_side(self, emulator, grid):
        display = BetweenNodesDisplay.from_estimator(emulator, STAR, window=(8505, 8515))
        expected = [[5000, 4.0, -0.5], [5300, 4.2, -0.3], [5500, 4.0, -0.5]]
        np.testing.assert_allclose(display.parameters, expected)
        assert (display.wavelength >= 8505).all()
        assert (display.wavelength <= 8515).all()
        window = np.isin(grid.wavelength, display.wavelength)
        node = (grid.parameters == (5500, 4.0, -0.5)).all(axis=1)
        # At nodes the emulator is as exact as its components.
        np.testing.assert_allclose(display.flux[2], grid.normalised[node][0, window], atol=1e-9)

    @pytest.mark.parametrize(("teff", "nodes"), [(5000, (5000, 5500)), (6000, (5500, 6000))])
    def test_at_the_ends_of_the_grid(self, emulator, teff, nodes):
        display = BetweenNodesDisplay.from_estimator(emulator, (teff, 4.2, -0.3))
        assert tuple(display.parameters[[0, 2], 0]) == nodes

    def test_bad_arguments(self, emulator):
        with pytest.raises(ValueError, match="must lie inside the grid"):
            BetweenNodesDisplay.from_estimator(emulator, (9000, 4.2, -0.3))
        with pytest.raises(ValueError, match="window must hold at least two pixels"):
            BetweenNodesDisplay.from_estimator(emulator, STAR, window=(4000, 4100))
        with pytest.raises(ValueError, match="flux and parameters must hold three rows"):
            BetweenNodesDisplay([5000.0, 5001.0], np.ones((2, 2)), [[1], [2]], ("teff",))


class TestRenderTime:
    def test_measures_both_ways(self, emulator):
        class Counting:
            grid_ = emulator.grid_
            sizes = ()

            def predict(self, points):
                assert emulator.grid_.contains(points).all()
                self.sizes += (len(points),)

        counting = Counting()
        display = RenderTimeDisplay.from_estimator(counting, batch_sizes=(1, 3), n_repeats=2)
        # One to warm up; then twice in one call, and twice one by one, for each size.
        assert counting.sizes == (1, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1)
        assert (display.batch_seconds > 0).all()
        assert display.speedup.shape == (2,)

    def test_bad_sizes(self, emulator):
        with pytest.raises(ValueError, match="batch_sizes and n_repeats must be 1 or more"):
            RenderTimeDisplay.from_estimator(emulator, batch_sizes=(0, 1))


class TestResidual:
    def test_a_clone(self, emulator, grid):
        cloner = emulator.cloner_
        display = ResidualDisplay.from_estimator(cloner, grid.normalised, row=3)
        clone = cloner.inverse_transform(cloner.transform(grid.normalised[[3]]))
        assert display.rms == pytest.approx(flux_rms(grid.normalised[[3]], clone))
        assert len(display.centers) == cloner.n_lines_

    def test_an_emulated_spectrum(self, emulator, held_out):
        display = ResidualDisplay.from_estimator(
            emulator, held_out.parameters, held_out.spectra, row=1, window=(8505, 8515)
        )
        np.testing.assert_array_equal(
            display.predicted,
            emulator.predict(held_out.parameters[[1]])[0][
                np.isin(emulator.wavelength_, display.wavelength)
            ],
        )
        assert display.predicted_label == "emulated"

    def test_the_fit_of_an_observed_star(self):
        result = Bunch(model=[None, [2.0, 2.0]], residual=[None, [0.5, np.nan]])
        display = ResidualDisplay.from_result(result, [5000.0, 5001.0], segment=1)
        np.testing.assert_array_equal(display.observed, [2.5, np.nan])
        assert display.rms == 0.5

    def test_gaps_are_left_out_of_the_rms(self):
        display = ResidualDisplay.from_predictions(
            [5000.0, 5001.0, 5002.0], [1.0, np.nan, 0.9], [1.0, 1.0, 1.0]
        )
        assert display.rms == pytest.approx(0.1 / np.sqrt(2))
        display.plot()

    def test_bad_arguments(self, emulator, held_out):
        with pytest.raises(ValueError, match="y must hold the spectra of the parameters X"):
            ResidualDisplay.from_estimator(emulator, held_out.parameters)
        with pytest.raises(ValueError, match="predicted must be one spectrum on the 2 pixels"):
            ResidualDisplay([1.0, 2.0], [1.0, 1.0], [[1.0, 1.0]])


class TestEmulatorError:
    def test_errors_are_those_of_the_metric(self, emulator, held_out, displays):
        predicted = emulator.predict(held_out.parameters)
        expected = flux_rms(held_out.spectra, predicted, per_spectrum=True)
        np.testing.assert_allclose(displays["error"].rms, expected)
        same = EmulatorErrorDisplay.from_predictions(
            held_out.parameters, held_out.spectra, predicted, parameter_names=NAMES
        )
        np.testing.assert_allclose(same.rms, expected)

    def test_without_the_two_parameters_there_is_no_map(self):
        display = EmulatorErrorDisplay([[5000.0], [6000.0]], [1e-3, 2e-3], ("teff",)).plot()
        assert display.axes_.shape == (1,)

    def test_bad_shapes(self):
        with pytest.raises(ValueError, match=r"shape \(1, 2\), got \(1, 1\)"):
            EmulatorErrorDisplay([[5000.0]], [1e-3], ("teff", "logg"))


class TestParameterError:
    def test_an_estimator_is_asked(self, emulator, held_out):
        class Estimator:
            emulator_ = emulator

            def predict(self, X, bounds=None):
                assert bounds == "box"
                return held_out.parameters + [10.0, 0.1, -0.1]

        display = ParameterErrorDisplay.from_estimator(
            Estimator(), held_out.spectra, held_out.parameters, bounds="box"
        )
        np.testing.assert_allclose(display.errors.bias, [10.0, 0.1, -0.1])
        assert display.plot().axes_.shape == (2, 3)
        assert "mean error 10 K,\nbias +10 K" in display.ax_.get_title()

    def test_bad_shapes(self):
        with pytest.raises(ValueError, match="y_err must have the shape of y_true"):
            ParameterErrorDisplay([[1.0, 2.0]], [[1.0, 2.0]], ("a", "b"), y_err=[[1.0]])


class TestPosterior:
    def test_contours_enclose_their_share(self):
        # A round Gaussian falls to 1 - p of its peak where it encloses p.
        axis = np.linspace(-6, 6, 601)
        density = np.exp(-0.5 * (axis[:, None] ** 2 + axis**2))
        levels = _levels_that_enclose(density, (0.95, 0.68))
        np.testing.assert_allclose(levels, [0.05, 0.32], rtol=0.02)

    def test_titles_give_median_and_interval(self):
        random = np.random.default_rng(0)
        samples = random.normal([5772.0, 4.44], [30.0, 0.05], size=(50_000, 2))
        display = PosteriorDisplay.from_predictions(samples, NAMES[:2]).plot()
        for column, (middle, error) in enumerate([(5772.0, 30.0), (4.44, 0.05)]):
            title = display.axes_[column, column].get_title()
            found = re.search(r"\$([\d.]+)\^\{\+([\d.]+)\}_\{-([\d.]+)\}\$", title)
            assert float(found[1]) == pytest.approx(middle, abs=0.05 * error)
            assert float(found[2]) == pytest.approx(error, rel=0.1)
            assert float(found[3]) == pytest.approx(error, rel=0.1)

    def test_a_parameter_that_is_held_fixed(self):
        samples = np.column_stack([np.linspace(5000, 5100, 500), np.full(500, 4.5)])
        display = PosteriorDisplay(samples, NAMES[:2], truth=(5050, 4.5)).plot()
        display.figure_.canvas.draw()
        assert "4.500" in display.axes_[1, 1].get_title()

    def test_an_observed_star(self):
        covariance = np.diag([900.0, 0.01, 0.0])
        samples = np.random.default_rng(0).normal([5772, 4.44, 0.0], [30, 0.1, 0.0], (200, 3))
        result = Bunch(
            parameter_names=NAMES, parameters=np.array(STAR), covariance=covariance, samples=None
        )
        display = PosteriorDisplay.from_result(result, truth=(5772.0, 4.44, 0.0))
        # What was held has no posterior.
        assert display.parameter_names == NAMES[:2]
        np.testing.assert_allclose(display.samples.std(axis=0), [30.0, 0.1], rtol=0.05)
        np.testing.assert_array_equal(display.truth, [5772.0, 4.44])
        drawn = PosteriorDisplay.from_result(Bunch(**result | {"samples": samples}))
        np.testing.assert_array_equal(drawn.samples, samples[:, :2])

    def test_bad_shapes(self):
        with pytest.raises(ValueError, match=r"samples must have shape \(n_samples, 3\)"):
            PosteriorDisplay([[1.0, 2.0]], NAMES)
        with pytest.raises(ValueError, match=r"truth must have shape \(2,\)"):
            PosteriorDisplay([[1.0, 2.0]], NAMES[:2], truth=[1.0])


class TestLineTable:
    def test_widths_are_areas_of_the_rendered_lines(self, emulator):
        display = LineTableDisplay.from_estimator(emulator, STAR, n_lines=4)
        lines = emulator.predict_lines([STAR]).reshape(-1, 4)
        wavelength = np.linspace(8000.0, 9000.0, 400_001)
        from skphx.lines import render_flux

        for row in display.table:
            flux = render_flux(wavelength, *lines[[row["line"]]].T)
            area = 1e3 * trapezoid(1.0 - flux, wavelength)
            # The wings beyond the integral are missing from it.
            assert row["width"] == pytest.approx(area, rel=0.01)
            assert row["depth"] == pytest.approx(1.0 - flux.min(), rel=1e-3)
            half = wavelength[-np.log(flux) > 0.5 * -np.log(flux.min())]
            assert row["fwhm"] == pytest.approx(np.ptp(half), rel=0.02, abs=0.005)
        assert (np.diff(display.table["center"]) > 0).all()

    def test_the_strongest_of_a_window_with_their_names(self, emulator):
        names = [f"X{number}" for number in range(emulator.cloner_.n_lines_)]
        every = LineTableDisplay.from_estimator(emulator, STAR, n_lines=99, names=names)
        window = (8500.0, 8510.0)
        some = LineTableDisplay.from_estimator(
            emulator, STAR, n_lines=2, window=window, names=names
        )
        inside = every.table[(every.table["center"] <= 8510.0)]
        expected = np.sort(inside["width"])[-2:]
        np.testing.assert_allclose(np.sort(some.table["width"]), expected)
        assert [f"X{row['line']}" for row in some.table] == some.table["name"].tolist()
        head = some.plot().table_.get_celld()
        assert head[0, 1].get_text().get_text() == "name"

    def test_a_window_without_lines(self, emulator):
        display = LineTableDisplay.from_estimator(
            emulator, STAR, window=(8500.0, 8500.2), n_lines=0
        )
        assert len(display.plot().table) == 0


class TestSensitivity:
    def test_derivative_is_that_of_the_emulator(self, emulator):
        display = SensitivityDisplay.from_estimator(emulator, STAR, step=10.0)
        ends = emulator.predict([np.add(STAR, (1.0, 0, 0)), np.subtract(STAR, (1.0, 0, 0))])
        np.testing.assert_allclose(display.derivative, 5.0 * (ends[0] - ends[1]), atol=1e-5)

    def test_lines_carry_what_the_flux_shows(self, emulator):
        # Far lines aside, the change of the total absorption is that of the lines' areas.
        display = SensitivityDisplay.from_estimator(emulator, STAR, parameter="feh")
        lines = emulator.predict_lines([STAR]).reshape(-1, 4)
        assert (np.sign(display.width_changes[_depths(lines) > 0.3]) > 0).all()
        total = trapezoid(-display.derivative, display.wavelength)
        assert total == pytest.approx(display.width_changes.sum(), rel=0.5)

    def test_names_follow_their_lines(self, emulator):
        names = [f"X{number}" for number in range(emulator.cloner_.n_lines_)]
        display = SensitivityDisplay.from_estimator(
            emulator, STAR, names=names, window=(8505.0, 8515.0)
        )
        center = emulator.predict_lines([STAR]).reshape(-1, 4)[:, 0]
        for name, place in zip(display.names, display.centers, strict=True):
            assert center[int(name[1:])] == place
        display.plot(n_labels=1)
        strongest = display.names[np.argmax(abs(display.width_changes))]
        assert any(text.get_text().startswith(strongest) for text in display.ax_.texts)

    def test_a_parameter_of_one_value(self, grid):
        solar = grid.parameters[:, 2] == 0.0
        cloner = VoigtCloner(grid.wavelength, target_rms=None, max_iter=2)
        emulator = LineManifoldRegressor(cloner, smoothness=0).fit(
            grid.parameters[solar], grid.normalised[solar]
        )
        with pytest.raises(ValueError, match="the grid has one value of feh"):
            SensitivityDisplay.from_estimator(emulator, (5300, 4.2, 0.0), parameter="feh")

    def test_names_must_be_as_many_as_lines(self):
        with pytest.raises(ValueError, match="names must hold one name for each of the 1 lines"):
            SensitivityDisplay(
                [1.0, 2.0], [1.0, 1.0], [0.0, 0.0], [1.5], [0.1], "teff", names=["a", "b"]
            )


class TestSpread:
    def test_neighbours_stand_apart_and_stay_in_order(self):
        wanted = [5.0, 5.1, 9.9, 1.0, 5.05]
        places = spread(wanted, 0.5, 0.0, 10.0)
        assert (np.argsort(places) == np.argsort(wanted)).all()
        assert (np.diff(np.sort(places)) >= 0.5 - 1e-9).all()
        assert places.min() >= 0.0
        assert places.max() <= 10.0
        assert places[3] == 1.0

    def test_too_many_share_what_room_there_is(self):
        places = spread(np.full(11, 3.0), 5.0, 0.0, 11.0)
        np.testing.assert_allclose(np.diff(places), 1.0)

    def test_none(self):
        assert len(spread([], 1.0, 0.0, 1.0)) == 0


def _depths(lines):
    """Depth of pseudo-Voigt lines at their centres."""
    from skphx.lines import pseudo_voigt

    peak = pseudo_voigt(0.0, np.exp(lines[..., 2]), np.exp(lines[..., 3]))
    return 1.0 - np.exp(-np.exp(lines[..., 1]) * peak)
