"""PaperCloner: the lines of each spectrum by itself, and Adam, which fits them."""

import numpy as np
import pytest
import torch
from detected import detected_cloner
from three_lines import TRUE, WAVELENGTH, make_spectra, rms

from skphx.lines import fit_spectrum, render_flux
from skphx.paper import PaperCloner
from skphx.paper._adam import fit_adam


def test_the_defaults_are_the_papers():
    assert PaperCloner().get_params() == {
        "wavelength": None,
        "prominence": 0.005,
        "min_distance": 4,
        "edge": 30.0,
        "tolerance": 0,
        "optimizer": "adam",
        "n_epochs": 100,
        "learning_rate": 0.05,
        "target_rms": None,
        "max_lines": None,
        "profile": "pseudo-voigt",
        "transmission": "product",
        "wing_cut": 6000,
        "device": "cpu",
        "n_jobs": None,
        "memory": None,
        "archive": None,
        "verbose": 0,
    }


@pytest.mark.parametrize("transmission", ["exponential", "product"])
@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
def test_profiles_and_transmissions_clone_their_own_spectra(profile, transmission):
    options = {"profile": profile, "transmission": transmission}
    spectra = make_spectra((0.5, 1.0), **options)
    cloner = detected_cloner(WAVELENGTH, target_rms=None, n_epochs=30, **options)
    clones = cloner.inverse_transform(cloner.fit_transform(spectra))
    assert rms(clones, spectra).max() < 1e-3


def test_settings_of_rendering_matter():
    spectra = make_spectra((1.0,))
    cloner = detected_cloner(WAVELENGTH, target_rms=None).fit(spectra)
    lines = cloner.transform(spectra)
    flux = cloner.inverse_transform(lines)
    good = cloner.get_params()
    for change in ({"transmission": "product"}, {"profile": "blase"}, {"wing_cut": 20}):
        cloner.set_params(**good | change)
        assert abs(cloner.inverse_transform(lines) - flux).max() > 1e-3


def test_adam_lowers_the_error_step_by_step():
    spectra = make_spectra((1.0,))
    errors = []
    for n_epochs in (0, 15, 60):
        cloner = detected_cloner(
            WAVELENGTH,
            optimizer="adam",
            target_rms=None,
            n_epochs=n_epochs,
            learning_rate=0.02,
        )
        errors.append(rms(cloner.inverse_transform(cloner.fit_transform(spectra)), spectra)[0])
    assert errors[2] < errors[1] < errors[0]


def test_detected_lines_carry_identities_and_absence():
    spectra = make_spectra()
    spectra[0] = 1.0
    # The second spectrum alone has a further line.
    spectra[1] *= 1.0 - 0.2 * np.exp(-0.5 * ((WAVELENGTH - 5009.0) / 0.06) ** 2)
    cloner = detected_cloner(WAVELENGTH, target_rms=None)
    lines = cloner.fit_transform(spectra).reshape(3, -1, 4)
    present = np.isfinite(lines).all(axis=2)
    np.testing.assert_array_equal(present, [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])
    assert np.isnan(lines[~present]).all()
    table = cloner.line_table(spectra)
    np.testing.assert_array_equal(table.offsets, [0, 0, 4, 7])
    np.testing.assert_array_equal(table.identity, [0, 1, 2, 3, 0, 1, 2])
    np.testing.assert_array_equal(
        cloner.line_pixels_, np.searchsorted(WAVELENGTH, cloner.line_centers_)
    )
    # A line that fit did not see has no column, but is in the table.
    new = make_spectra((1.0,)) * (1 - 0.3 * np.exp(-0.5 * ((WAVELENGTH - 5003.5) / 0.06) ** 2))
    assert (cloner.line_table(new).identity == -1).sum() == 1
    assert cloner.transform(new).shape == (1, 16)


def test_tolerance_decides_which_detections_are_one_line():
    pixel = WAVELENGTH[1] - WAVELENGTH[0]
    spectra = np.vstack([make_spectra((1.0,)), make_spectra((1.0,), shift=pixel)])
    merged = detected_cloner(WAVELENGTH, tolerance=2, target_rms=None)
    assert np.isfinite(merged.fit_transform(spectra)).all()
    assert merged.n_lines_ == 3
    # The paper's identity: the same pixel, or another line.
    exact = detected_cloner(WAVELENGTH, tolerance=0, target_rms=None)
    lines = exact.fit_transform(spectra).reshape(2, -1, 4)
    assert exact.n_lines_ == 6
    np.testing.assert_array_equal(np.isfinite(lines).all(axis=2).sum(axis=0), np.ones(6))


def test_edge_and_min_distance_thin_out_the_detections():
    spectra = make_spectra((1.0,))
    inner = detected_cloner(WAVELENGTH, edge=2.5, target_rms=None).fit(spectra)
    np.testing.assert_allclose(inner.line_centers_, [5005.0], atol=0.02)
    sparse = detected_cloner(WAVELENGTH, min_distance=200, target_rms=None).fit(spectra)
    np.testing.assert_allclose(sparse.line_centers_, [5005.0], atol=0.02)
    deep = detected_cloner(WAVELENGTH, prominence=0.25, target_rms=None).fit(spectra)
    assert deep.n_lines_ < 3


def test_one_spectrum_is_fitted_as_by_fit_spectrum():
    spectra = make_spectra((1.0,))
    cloner = detected_cloner(WAVELENGTH, target_rms=None)
    lines = cloner.fit_transform(spectra).reshape(-1, 4)
    expected, _, _ = fit_spectrum(WAVELENGTH, spectra[0])
    np.testing.assert_allclose(lines, expected, rtol=1e-12)


def test_the_papers_defaults_fit_what_lies_inside_the_edges():
    wavelength = np.linspace(5000.0, 5080.0, 2001)
    lines = TRUE + [[36.0, 0, 0, 0]] * 3
    # A line within 30 Å of an end is not seen, however deep it is.
    lines = np.vstack([lines, [5028.0, 0.2, 0.08, 0.05]])
    flux = render_flux(wavelength, lines[:, 0], *np.log(lines[:, 1:]).T, transmission="product")
    cloner = PaperCloner(wavelength).fit(flux[None])
    np.testing.assert_allclose(cloner.line_centers_, lines[:3, 0], atol=0.04)
    fitted = cloner.inverse_transform(cloner.transform(flux[None]))[0]
    inside = wavelength > 5036.0
    assert np.sqrt(np.mean((fitted - flux)[inside] ** 2)) < 0.01


# Adam ------------------------------------------------------------------------------------------

# Centre (Å), ln area, ln sigma, ln gamma of three lines, two of them blended.
LINES = np.column_stack(
    [
        [5001.503, 5004.0, 5004.31],
        *np.log([[0.05, 0.12, 0.06], [0.06, 0.08, 0.07], [0.02, 0.03, 0.05]]),
    ]
)


@pytest.mark.parametrize("options", [{}, {"transmission": "exponential", "wing_cut": None}])
def test_adam_is_torch_adam_with_amsgrad_on_the_mean_squared_error(options):
    start = LINES + np.array([0.01, 0.1, 0.0, 0.0])
    transmission = options.get("transmission", "product")
    flux = render_flux(WAVELENGTH, *LINES.T, transmission=transmission)
    lines, rms = fit_adam(WAVELENGTH, flux, start, n_epochs=5, learning_rate=0.02, **options)
    parameters = [torch.tensor(column, requires_grad=True) for column in start.T.copy()]
    adam = torch.optim.Adam(parameters, lr=0.02, amsgrad=True)
    for _ in range(5):
        adam.zero_grad()
        clone = render_flux(WAVELENGTH, *parameters, transmission=transmission, method="direct")
        torch.mean((clone - torch.tensor(flux)) ** 2).backward()
        adam.step()
    expected = torch.stack(parameters, dim=1).detach().numpy()
    np.testing.assert_allclose(lines, expected, rtol=1e-9)
    rendered = render_flux(WAVELENGTH, *lines.T, transmission=transmission)
    assert rms == pytest.approx(np.sqrt(np.mean((rendered - flux) ** 2)))


def test_adam_takes_what_is_given_by_default():
    # The paper's: 100 steps of 0.05, the product, wings cut to 6000 pixels.
    flux = render_flux(WAVELENGTH, *LINES.T, transmission="product")
    start = LINES + np.array([0.01, 0.1, 0.0, 0.0])
    lines, rms = fit_adam(WAVELENGTH, flux, start)
    explicit, _ = fit_adam(
        WAVELENGTH,
        flux,
        start,
        n_epochs=100,
        learning_rate=0.05,
        transmission="product",
        wing_cut=6000,
        prior=LINES,
    )
    np.testing.assert_array_equal(lines, explicit)
    assert rms < 1e-3


def test_adam_takes_arrays_that_are_read_only():
    flux = render_flux(WAVELENGTH, *LINES.T)
    start = LINES.copy()
    expected, _ = fit_adam(WAVELENGTH, flux, start, n_epochs=2)
    flux.flags.writeable = start.flags.writeable = False
    # torch warns of such arrays, and warnings are errors here.
    lines, _ = fit_adam(WAVELENGTH, flux, start, n_epochs=2)
    np.testing.assert_array_equal(lines, expected)


def test_no_line_leaves_a_flat_continuum():
    lines, rms = fit_adam(WAVELENGTH, np.full(501, 0.9), np.empty((0, 4)))
    assert lines.shape == (0, 4)
    assert rms == pytest.approx(0.1)


@pytest.mark.parametrize("learning_rate", [100.0, 1e300])
@pytest.mark.parametrize("n_pixels", [501, 20_001])
def test_a_fit_that_runs_away_is_named(n_pixels, learning_rate):
    # Many pixels are summed on a mesh, which must bear such lines as the direct sum does.
    wavelength = np.linspace(WAVELENGTH[0], WAVELENGTH[-1], n_pixels)
    with pytest.raises(
        RuntimeError,
        match=r"3 of 3 .* outside the limits of a line, such as .*; check .*learning_rate",
    ):
        fit_adam(
            wavelength,
            render_flux(wavelength, *LINES.T),
            LINES + 0.01,
            n_epochs=3,
            learning_rate=learning_rate,
            transmission="exponential",
            wing_cut=None,
        )


def test_a_list_without_lines_is_warned_of():
    # No pixel of this range is 30 Å from both of its ends.
    with pytest.warns(UserWarning, match="no line was detected .* edge=30"):
        cloner = PaperCloner(WAVELENGTH).fit(make_spectra())
    assert cloner.n_lines_ == 0
