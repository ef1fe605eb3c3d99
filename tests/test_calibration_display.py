"""CalibrationDisplay: what it takes from a calibrator, and what it draws."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from conftest import make_small_grid

from skphx.calibration import LineCalibrator
from skphx.inspection import CalibrationDisplay
from skphx.inspection._calibration import _colors
from skphx.observing._kernels import shift_of_velocity

NAMES = ("teff", "logg", "feh")
KNOWN = np.array([[5200.0, 4.2, -0.2], [5800.0, 4.4, -0.4], [5500.0, 4.3, -0.1]])
STRONGER = 1.3


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def stars():
    """Three stars whose optical depth is larger than that of the models."""
    true = make_small_grid(parameters=KNOWN)
    return {
        f"star {number}": {
            "wavelength": true.wavelength,
            "flux": flux**STRONGER,
            "sigma": np.full(len(flux), 0.005),
        }
        for number, flux in enumerate(true.normalised)
    }


@pytest.fixture(scope="module")
def calibrator(fitted_emulator, stars):
    return LineCalibrator(fitted_emulator).fit(stars, KNOWN)


def corrections(n_lines, species):
    data = {"center": 5000.0 + np.arange(n_lines), "species": np.asarray(species)}
    for name in ("depth", "strength", "strength_error", "width", "width_error"):
        data[name] = np.full(n_lines, 0.1)
    return data


class TestCorrections:
    def test_lines_that_stars_determine(self, calibrator):
        table = calibrator.corrections_.to_pandas()
        for min_stars in (0, 1, 3):
            display = CalibrationDisplay.from_calibrator(calibrator, min_stars=min_stars)
            kept = table[table["n_stars"] >= min_stars]
            np.testing.assert_array_equal(display.data["center"], kept["center"])
            np.testing.assert_array_equal(display.data["width_error"], kept["width_error"])
        deepest = np.argmax(display.data["depth"])
        assert display.data["strength"][deepest] == pytest.approx(np.log(STRONGER), abs=0.15)

    def test_two_panels_or_strength_alone(self, calibrator):
        display = CalibrationDisplay.from_calibrator(calibrator)
        assert len(display.plot().axes_) == 2
        figure, pair = plt.subplots(1, 2)
        assert [ax.get_ylabel() for ax in display.plot(pair).axes_] == [
            "change of ln strength",
            "change of ln width",
        ]
        assert display.figure_ is figure
        _, single = plt.subplots()
        assert display.plot(single).axes_.tolist() == [single]
        assert single.get_ylabel() == "change of ln strength"
        # The points are those of the corrections.
        points = np.concatenate([one.get_offsets() for one in _scatters(single)])
        np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(display.data["strength"]))

    def test_deeper_lines_have_larger_points(self):
        data = corrections(3, ["Fe I"] * 3)
        data["depth"] = np.array([0.05, 1.0, 4.0])
        display = CalibrationDisplay("corrections", data).plot()
        (points,) = _scatters(display.ax_)
        assert (np.diff(points.get_sizes()) > 0).all()

    def test_frequent_species_have_colours_and_others_are_grey(self):
        species = np.array([f"X{k} I" for k in range(8)] * 2 + ["rare", ""])
        groups = _colors(species)
        assert [label for label, _, _ in groups] == ["others"] + [f"X{k} I" for k in range(8)]
        assert groups[0][2].sum() == 2
        assert len({color for _, color, _ in groups}) == 9
        display = CalibrationDisplay("corrections", corrections(18, species)).plot()
        texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert texts == [label for label, _, _ in groups]

    def test_without_names_there_is_no_legend(self):
        display = CalibrationDisplay("corrections", corrections(2, ["", ""])).plot()
        assert display.ax_.get_legend() is None


class TestLeftOut:
    def test_errors_are_scaled(self, calibrator):
        display = CalibrationDisplay.from_calibrator(calibrator, "left_out")
        np.testing.assert_array_equal(display.data["shift"], calibrator.left_out_shift_)
        np.testing.assert_allclose(
            display.data["error"], calibrator.left_out_error_ * calibrator.scale_**0.5
        )
        assert display.data["parameter_names"].tolist() == list(NAMES)
        drawn = display.plot()
        assert len(drawn.axes_) == 3
        labels = [label.get_text() for label in drawn.ax_.get_yticklabels()]
        assert labels == ["star 0", "star 1", "star 2"]

    def test_titles_give_mean_and_rms(self):
        data = {
            "names": ["A", "B"],
            "parameter_names": ["teff"],
            "shift": [[30.0], [-10.0]],
            "error": [[10.0], [10.0]],
        }
        title = CalibrationDisplay("left_out", data).plot().ax_.get_title()
        assert title == "mean +10 K,\nrms / error 2.2"

    def test_one_star_cannot_be_left_out(self, fitted_emulator, stars):
        one = LineCalibrator(fitted_emulator, n_iterations=1).fit([stars["star 0"]], KNOWN[:1])
        with pytest.raises(ValueError, match="no star was left out"):
            CalibrationDisplay.from_calibrator(one, "left_out")


class TestStar:
    def test_corrected_model_fits_better(self, calibrator, stars):
        display = CalibrationDisplay.from_star(calibrator, stars["star 0"], KNOWN[0])
        data = display.data
        rms = {
            name: np.sqrt(np.nanmean((data["flux"] - data[name]) ** 2))
            for name in ("uncorrected", "corrected")
        }
        assert rms["corrected"] < 0.5 * rms["uncorrected"]
        np.testing.assert_allclose(data["wavelength"], stars["star 0"]["wavelength"])
        drawn = display.plot()
        assert len(drawn.axes_) == 3
        texts = [panel.texts[0].get_text() for panel in drawn.axes_[1:]]
        assert texts == [f"{name}: rms {value:.2g}" for name, value in rms.items()]
        assert "5200 K" in drawn.ax_.get_title(loc="left")

    def test_masked_pixels_are_gaps_and_the_window_is_kept(self, calibrator, stars):
        star = stars["star 0"]
        mask = (star["wavelength"] > 8508.0) & (star["wavelength"] < 8509.0)
        display = CalibrationDisplay.from_star(
            calibrator, star | {"mask": mask}, KNOWN[0], window=(8507.0, 8512.0)
        )
        inside = (star["wavelength"] >= 8507.0) & (star["wavelength"] <= 8512.0)
        np.testing.assert_array_equal(np.isnan(display.data["flux"]), mask[inside])
        assert np.isfinite(display.data["corrected"]).all()
        display.plot().figure_.canvas.draw()

    def test_wavelengths_are_at_rest(self, calibrator, stars):
        star = stars["star 1"]
        moved = star["wavelength"] * np.exp(shift_of_velocity(20.0)[0] / 299_792.458)
        moving = LineCalibrator(calibrator.emulator, observation_model=_moving())
        for name, value in vars(calibrator).items():
            if name.endswith("_"):
                setattr(moving, name, value)
        star = star | {"wavelength": moved}
        display = CalibrationDisplay.from_star(moving, star, KNOWN[1])
        inside = np.isfinite(display.data["flux"])
        expected = stars["star 1"]["wavelength"]
        np.testing.assert_allclose(display.data["wavelength"][inside], expected[inside], atol=0.02)

    def test_segments_are_drawn_one_by_one(self, calibrator, stars):
        star = stars["star 0"]
        blue, red = (
            {name: values[where] for name, values in star.items()}
            for where in (slice(0, 250), slice(150, None))
        )
        display = CalibrationDisplay.from_star(calibrator, {"HD 1": [blue, red]}, KNOWN[0])
        assert np.bincount(display.data["segment"]).tolist() == [250, 250]
        drawn = display.plot()
        assert drawn.ax_.get_title(loc="left").startswith("HD 1: ")
        legend = [text.get_text() for text in drawn.ax_.get_legend().get_texts()]
        assert legend == ["star", "uncorrected", "corrected"]
        assert [len(line.get_xdata()) for line in drawn.ax_.lines] == [250] * 6
        with pytest.raises(ValueError, match=r"star must be one star, got 2.*\[\[blue, red\]\]"):
            CalibrationDisplay.from_star(calibrator, [star, star], KNOWN[0])


class TestBadInput:
    def test_kinds(self, calibrator):
        with pytest.raises(ValueError, match="kind must be one of corrections, left_out, star"):
            CalibrationDisplay("lines", {})
        with pytest.raises(ValueError, match="from_star draws a star"):
            CalibrationDisplay.from_calibrator(calibrator, "star")

    def test_data(self):
        data = corrections(2, ["", ""])
        del data["width_error"]
        with pytest.raises(ValueError, match="width_error is missing"):
            CalibrationDisplay("corrections", data)
        with pytest.raises(ValueError, match=r"width must have shape \(2,\), got \(3,\)"):
            CalibrationDisplay("corrections", corrections(2, ["", ""]) | {"width": np.ones(3)})

    def test_axes(self):
        display = CalibrationDisplay("corrections", corrections(2, ["", ""]))
        _, axes = plt.subplots(1, 3)
        with pytest.raises(ValueError, match="two for kind 'corrections', got 3"):
            display.plot(axes)

    def test_parameters_outside_the_grid(self, calibrator, stars):
        with pytest.raises(ValueError, match="parameters must be teff, logg, feh inside the grid"):
            CalibrationDisplay.from_star(calibrator, stars["star 0"], [9000.0, 4.2, 0.0])


def _scatters(ax):
    """Scattered points of axes, without error bars."""
    from matplotlib.collections import PathCollection

    return [one for one in ax.collections if isinstance(one, PathCollection)]


def _moving():
    from skphx.inference import ObservationModel

    return ObservationModel(velocity=(-50.0, 50.0))
