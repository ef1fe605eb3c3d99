"""FluxEmulator: flux at any stellar parameters, from the spectra of a grid's nodes alone."""

import pickle
from itertools import product

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import NotFittedError

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    PercentileNormalizer,
    load_model,
    save_model,
)
from skphx.flux._choice import SATURATIONS, SMOOTH_KINDS, choose_interpolation
from skphx.flux._error import InterpolationError
from skphx.flux._scale import from_growth, to_growth
from skphx.interpolation import make_grid

WAVELENGTH = np.linspace(5000.0, 5004.0, 80)
KINDS = ("linear", *SMOOTH_KINDS)
DEPTHS = (0.01, 0.3, np.inf)
POINTS = np.array([[0.4, 0.3], [2.4, 1.7], [2.9, 2.2]])
STARS = np.array([[5200.0, 4.2, -0.2], [5800.0, 4.4, -0.4]])
CUT = (8506.0, 8511.0)


def spectra_of(points):
    """Lines that strengthen, broaden and fade with two parameters, and one in emission."""
    x, y = np.asarray(points, dtype=float).T[:2, :, None]

    def profile(center, width):
        return np.exp(-0.5 * ((WAVELENGTH - center) / width) ** 2)

    depth = 0.4 * (1 + 0.2 * x) * profile(5001.0, 0.1 + 0.02 * y)
    depth = depth + 2.0 * np.exp(-0.3 * y) * profile(5002.2, 0.06)
    return np.exp(-depth) + 0.05 * (1 + 0.2 * x) * profile(5003.3, 0.1)


def made_of(*axes):
    nodes = np.array(list(product(*axes)), dtype=float)
    return nodes, spectra_of(nodes)


@pytest.fixture(scope="module")
def nodes():
    return made_of((0.0, 1.0, 2.0, 3.0, 4.5), (0.0, 1.0, 2.0, 3.0))


def fit(nodes, **settings):
    settings = {"parameter_names": None, "tolerance": 0} | settings
    return FluxEmulator(WAVELENGTH, **settings).fit(*nodes)


def rms(a, b):
    return np.sqrt(np.mean((a - b) ** 2, axis=1))


def differences(function, points, steps):
    """Central differences, on a last axis."""
    moves = np.diag(steps)
    sides = [
        (function(points + move) - function(points - move)) / (2 * step)
        for move, step in zip(moves, steps, strict=True)
    ]
    return np.stack(sides, axis=-1)


# Flux --------------------------------------------------------------------------------------


@pytest.mark.parametrize("saturation", [*DEPTHS, "auto"])
@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_nodes_are_exact(nodes, kind, saturation):
    emulator = fit(nodes, interpolation=kind, saturation=saturation)
    assert nodes[1].max() > 1.05
    assert nodes[1].min() < 0.2
    np.testing.assert_allclose(emulator.predict(nodes[0]), nodes[1], atol=1e-11)


@pytest.mark.parametrize("saturation", DEPTHS)
def test_between_two_nodes_the_scale_is_interpolated(nodes, saturation):
    emulator = fit(nodes, interpolation="linear", saturation=saturation)
    rows = [np.flatnonzero((nodes[0] == node).all(axis=1))[0] for node in ((1, 2), (2, 2))]
    z = to_growth(nodes[1][rows], saturation)
    expected = from_growth(0.75 * z[0] + 0.25 * z[1], saturation)
    np.testing.assert_allclose(emulator.predict([[1.25, 2.0]])[0], expected, atol=1e-13)


def test_flux_between_nodes_is_near_the_truth(nodes):
    points = np.random.default_rng(0).uniform([0, 0], [4.5, 3], (50, 2))
    emulator = fit(nodes, interpolation="auto", saturation="auto")
    error = rms(emulator.predict(points), spectra_of(points))
    nearest = nodes[1][emulator.grid_.nearest_node(points)]
    assert error.max() < 0.2 * rms(nearest, spectra_of(points)).max()
    assert error.max() < 0.01


def test_what_is_chosen_is_what_leaving_nodes_out_says(nodes):
    choice = choose_interpolation(*nodes, interpolations=SMOOTH_KINDS, saturations=SATURATIONS)
    emulator = fit(nodes)
    assert emulator.interpolation_ == choice.interpolation == emulator.grid_.interpolation
    assert emulator.saturation_ == choice.saturation
    np.testing.assert_array_equal(emulator.held_out_errors_, choice.errors)
    given = fit(nodes, interpolation="linear", saturation=0.2)
    assert (given.interpolation_, given.saturation_) == ("linear", 0.2)
    assert given.held_out_errors_.shape == (1, 1)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_its_error_is_that_of_its_interpolation(nodes, kind):
    emulator = fit(nodes, interpolation=kind, saturation=0.1)
    grid = make_grid(nodes[0], interpolation=kind)
    expected = InterpolationError.estimate(grid, nodes[1], saturation=0.1)
    np.testing.assert_array_equal(emulator.error_.spectra, expected.spectra)
    np.testing.assert_array_equal(emulator.flux_error_, expected.rms)
    assert emulator.flux_error_.shape == WAVELENGTH.shape


# Components --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many():
    """160 nodes, the spectra of which hardly differ."""
    return made_of(np.linspace(0.0, 4.0, 16), np.linspace(0.0, 3.0, 10))


@pytest.mark.parametrize("saturation", [0.01, np.inf])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_components_lose_no_more_flux_than_the_tolerance(many, tolerance, saturation):
    emulator = fit(many, interpolation="hermite", saturation=saturation, tolerance=tolerance)
    assert len(emulator.low_rank_.components) < 40
    lost = rms(emulator.predict(many[0]), many[1])
    # On the scale, losses count by its slope; what bends beyond that is of second order.
    assert lost.max() <= (1.0 + 10 * tolerance) * tolerance
    if saturation == np.inf:
        kept = emulator.low_rank_
        fewer = kept.mean + kept.coefficients[:, :-1] @ kept.components[:-1]
        assert rms(1.0 - fewer, many[1]).max() > tolerance


def test_automatic_tolerance_is_a_small_part_of_the_error(nodes, many):
    for given in (nodes, many):
        for kind in ("linear", "cubic"):
            emulator = fit(given, interpolation=kind, saturation=np.inf, tolerance="auto")
            error = np.sqrt(np.mean(emulator.flux_error_**2))
            lost = rms(emulator.predict(given[0]), given[1]).max()
            assert lost <= np.clip(0.02 * error, 1e-7, 1e-4)
            as_fixed = fit(
                given,
                interpolation=kind,
                saturation=np.inf,
                tolerance=float(np.clip(0.02 * error, 1e-7, 1e-4)),
            )
            np.testing.assert_array_equal(as_fixed.predict(POINTS), emulator.predict(POINTS))


def test_coarser_copies_are_smaller_and_leave_the_emulator_alone(many):
    emulator = fit(many, interpolation="cubic", saturation=0.03)
    flux = emulator.predict(POINTS)
    sizes = []
    for tolerance in (1e-6, 1e-4, 1e-2):
        coarser = emulator._coarser(tolerance)
        lost = rms(coarser.predict(many[0]), many[1]).max()
        assert lost <= (1.0 + 10 * tolerance) * tolerance
        sizes.append(len(coarser.low_rank_.components))
        # A coarser one of the coarser one knows no more than it.
        assert len(coarser._coarser(1e-9).low_rank_.components) <= sizes[-1]
    assert 160 > sizes[0] > sizes[1] > sizes[2]
    np.testing.assert_array_equal(emulator.predict(POINTS), flux)
    assert emulator.low_rank_.coefficients is None


def test_emulators_of_known_grids_are_those_of_plain_flux(nodes):
    grid = make_grid(nodes[0], parameter_names=("teff", "logg"), interpolation="cubic")
    error = InterpolationError.estimate(grid, nodes[1])
    made = FluxEmulator._of_nodes(
        grid, nodes[1], WAVELENGTH, tolerance=0, error=error, medium="air", resolution=2e4
    )
    names = {"parameter_names": ("teff", "logg"), "medium": "air", "resolution": 2e4}
    fitted = fit(nodes, interpolation="cubic", saturation=np.inf, **names)
    for method in ("predict", "jacobian", "distance"):
        np.testing.assert_array_equal(
            getattr(made, method)(POINTS), getattr(fitted, method)(POINTS)
        )
    np.testing.assert_array_equal(made.flux_error_, fitted.flux_error_)
    assert set(vars(made)) == set(vars(fitted))
    assert (made.medium, made.resolution_) == ("air", 2e4)
    assert made.score(*nodes) == pytest.approx(1.0)
    # Its parameters fit the same again.
    again = clone(made).fit(*nodes)
    np.testing.assert_array_equal(again.predict(POINTS), made.predict(POINTS))
    bare = FluxEmulator._of_nodes(grid, nodes[1], WAVELENGTH, tolerance=1e-3)
    assert bare.flux_error_ is None
    assert len(bare.low_rank_.components) < 10
    assert bare.select(wavelength=(5001.0, 5002.0)).predict(POINTS).shape[0] == 3


# Derivatives -------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0, 1e-3])
@pytest.mark.parametrize("saturation", DEPTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_difference_of_flux(nodes, kind, saturation, tolerance):
    emulator = fit(nodes, interpolation=kind, saturation=saturation, tolerance=tolerance)
    jacobian = emulator.jacobian(POINTS)
    assert jacobian.shape == (3, len(WAVELENGTH), 2)
    difference = differences(emulator.predict, POINTS, (1e-5, 1e-5))
    np.testing.assert_allclose(jacobian, difference, atol=1e-7)
    assert np.abs(jacobian).max() > 0.05
    np.testing.assert_array_equal(emulator.jacobian(POINTS, absolute=True), jacobian)


def all_normalizers(wavelength):
    return make_pipeline(
        BlackbodyDivider(wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(wavelength, degree=2),
    )


NORMALIZERS = {
    "all": all_normalizers,
    "blackbody": lambda wavelength: make_pipeline(
        BlackbodyDivider(wavelength), PercentileNormalizer(99)
    ),
    "percentile": lambda wavelength: PercentileNormalizer(99),
    "continuum": lambda wavelength: ContinuumNormalizer(wavelength, degree=2),
    "fixed blackbody": lambda wavelength: make_pipeline(
        BlackbodyDivider(wavelength, teff=5500.0), ContinuumNormalizer(wavelength, degree=1)
    ),
}


@pytest.mark.parametrize("kind", ["linear", "hermite", "radial"])
@pytest.mark.parametrize("name", ["all", "percentile"])
def test_jacobian_of_raw_flux_is_its_difference(grid, name, kind):
    for saturation in (0.03, np.inf):
        emulator = FluxEmulator(
            grid.wavelength,
            NORMALIZERS[name](grid.wavelength),
            interpolation=kind,
            saturation=saturation,
        ).fit(grid.parameters, grid.spectra)

        def flux(points, emulator=emulator):
            return emulator.predict(points, absolute=True)

        found = emulator.jacobian(STARS, absolute=True)
        difference = differences(flux, STARS, (0.05, 1e-4, 1e-4))
        scale = np.abs(difference).max(axis=(0, 1))
        np.testing.assert_allclose(found / scale, difference / scale, atol=2e-6)
        # The continuum's own slope is a large part of that along Teff.
        without = emulator.jacobian(STARS) * flux(STARS)[..., None]
        assert np.abs((found - without)[..., 0]).max() > 0.1 * scale[0]


# Raw flux ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NORMALIZERS)
def test_raw_flux_of_the_nodes_comes_back(grid, name):
    normalizer = NORMALIZERS[name](grid.wavelength)
    emulator = FluxEmulator(grid.wavelength, normalizer, tolerance=0)
    emulator.fit(grid.parameters, grid.spectra)
    assert not [one for one in vars(normalizer) if one.endswith("_")]
    absolute = emulator.predict(grid.parameters, absolute=True)
    bright = emulator.predict(grid.parameters) > 0.3
    np.testing.assert_allclose(absolute[bright], grid.spectra[bright], rtol=1e-6)
    np.testing.assert_allclose(absolute, grid.spectra, rtol=2e-3)
    assert emulator.score(grid.parameters, grid.spectra) == pytest.approx(1.0)
    normalised = emulator.normalize(grid.spectra, grid.parameters)
    np.testing.assert_allclose(emulator.predict(grid.parameters), normalised, atol=1e-9)
    assert emulator.node_continua_.has_blackbody == (
        name in ("all", "blackbody", "fixed blackbody")
    )


def test_raw_flux_between_nodes(grid, held_out):
    emulator = FluxEmulator(grid.wavelength, all_normalizers(grid.wavelength))
    emulator.fit(grid.parameters, grid.spectra)
    between = emulator.predict(held_out.parameters, absolute=True)
    np.testing.assert_allclose(between, held_out.raw, atol=0.06 * held_out.raw.max())
    assert np.median(np.abs(between / held_out.raw - 1.0)) < 2e-3
    part = emulator.select(wavelength=CUT)
    inside = (grid.wavelength >= CUT[0]) & (grid.wavelength <= CUT[1])
    for method in (FluxEmulator.predict, FluxEmulator.jacobian):
        np.testing.assert_allclose(
            method(part, held_out.parameters, absolute=True),
            method(emulator, held_out.parameters, absolute=True)[:, inside],
            rtol=1e-12,
        )
    np.testing.assert_allclose(
        part.normalize(grid.spectra, grid.parameters),
        emulator.normalize(grid.spectra, grid.parameters)[:, inside],
    )
    with pytest.raises(ValueError, match=r"must have the 400 pixels.* got 399"):
        part.normalize(grid.spectra[:, 1:], grid.parameters)


def test_teff_goes_to_the_steps_that_ask_for_it_from_whichever_column(grid):
    names = ("feh", "teff", "logg")
    parameters = grid.parameters[:, [2, 0, 1]]
    emulator = FluxEmulator(
        grid.wavelength, all_normalizers(grid.wavelength), parameter_names=names
    ).fit(parameters, grid.spectra)
    expected = BlackbodyDivider(grid.wavelength).fit_transform(
        grid.spectra, teff=grid.parameters[:, 0]
    )
    expected = PercentileNormalizer(99).fit_transform(expected)
    expected = ContinuumNormalizer(grid.wavelength, degree=2).fit_transform(expected)
    normalised = emulator.normalize(grid.spectra, parameters)
    np.testing.assert_allclose(normalised, expected, rtol=1e-12)
    in_order = FluxEmulator(grid.wavelength, all_normalizers(grid.wavelength))
    in_order.fit(grid.parameters, grid.spectra)
    points = STARS[:, [2, 0, 1]]
    np.testing.assert_allclose(
        emulator.predict(points, absolute=True), in_order.predict(STARS, absolute=True), rtol=1e-9
    )
    np.testing.assert_allclose(
        emulator.jacobian(points, absolute=True),
        in_order.jacobian(STARS, absolute=True)[..., [2, 0, 1]],
        rtol=1e-6,
        atol=1e-6 * np.abs(in_order.jacobian(STARS, absolute=True)).max(),
    )


def test_without_a_column_of_teff_a_blackbody_is_refused(grid):
    emulator = FluxEmulator(
        grid.wavelength, all_normalizers(grid.wavelength), parameter_names=None
    )
    with pytest.raises(ValueError, match="teff"):
        emulator.fit(grid.parameters, grid.spectra)


def test_normalisation_forgets_the_unit_of_flux(grid):
    emulator = FluxEmulator(grid.wavelength, all_normalizers(grid.wavelength))
    emulator.fit(grid.parameters, grid.spectra)
    in_other_unit = clone(emulator).fit(grid.parameters, 7e-9 * grid.spectra)
    np.testing.assert_allclose(in_other_unit.predict(STARS), emulator.predict(STARS), rtol=1e-9)
    np.testing.assert_allclose(
        in_other_unit.predict(STARS, absolute=True),
        7e-9 * emulator.predict(STARS, absolute=True),
        rtol=1e-8,
    )


def test_without_a_normalizer_raw_flux_is_the_flux(nodes):
    emulator = fit(nodes)
    assert emulator.node_continua_ is None
    np.testing.assert_array_equal(
        emulator.predict(POINTS, absolute=True), emulator.predict(POINTS)
    )
    np.testing.assert_array_equal(emulator.normalize(nodes[1], nodes[0]), nodes[1])


# Parts -------------------------------------------------------------------------------------


def test_a_range_is_the_whole_there(nodes):
    emulator = fit(nodes, tolerance="auto")
    part = emulator.select(wavelength=(5001.0, 5002.5))
    inside = (WAVELENGTH >= 5001.0) & (WAVELENGTH <= 5002.5)
    np.testing.assert_array_equal(part.wavelength_, WAVELENGTH[inside])
    for method in (FluxEmulator.predict, FluxEmulator.jacobian):
        np.testing.assert_allclose(
            method(part, POINTS), method(emulator, POINTS)[:, inside], rtol=1e-12, atol=1e-12
        )
    np.testing.assert_array_equal(part.flux_error_, emulator.flux_error_[inside])
    np.testing.assert_array_equal(part.error_.spectra, emulator.error_.spectra[:, inside])
    assert part.score(nodes[0], nodes[1]) == pytest.approx(emulator.score(*nodes), abs=1e-6)
    assert part.score(nodes[0], nodes[1][:, inside]) > 0.999
    assert emulator.predict(POINTS).shape == (3, 80)
    assert part.grid_ is emulator.grid_


@pytest.mark.parametrize("saturation", [0.03, np.inf])
def test_between_old_pixels_the_scale_is_interpolated(nodes, saturation):
    emulator = fit(nodes, interpolation="cubic", saturation=saturation)
    same = emulator.select(wavelength=WAVELENGTH[5:-5])
    flux = emulator.predict(POINTS)
    np.testing.assert_allclose(same.predict(POINTS), flux[:, 5:-5], atol=1e-12)
    new = 0.25 * WAVELENGTH[:-1] + 0.75 * WAVELENGTH[1:]
    z = to_growth(flux, saturation)
    expected = from_growth(0.25 * z[:, :-1] + 0.75 * z[:, 1:], saturation)
    finer = emulator.select(wavelength=new)
    np.testing.assert_array_equal(finer.wavelength_, new)
    np.testing.assert_allclose(finer.predict(POINTS), expected, atol=1e-10)
    np.testing.assert_allclose(
        finer.jacobian(POINTS), differences(finer.predict, POINTS, (1e-5, 1e-5)), atol=1e-7
    )
    assert finer.flux_error_.shape == new.shape
    again = finer.select(wavelength=(5001.0, 5002.0)).select(wavelength=(5001.5, 5002.0))
    inside = (new >= 5001.5) & (new <= 5002.0)
    np.testing.assert_allclose(again.predict(POINTS), expected[:, inside], atol=1e-10)
    # Spectra on the pixels of fit follow all the way.
    seen = again.normalize(nodes[1], nodes[0])
    expected = 0.25 * nodes[1][:, :-1] + 0.75 * nodes[1][:, 1:]
    np.testing.assert_allclose(seen, expected[:, inside], atol=1e-12)


@pytest.mark.parametrize(
    ("wavelength", "message"),
    [
        ((6000.0, 6100.0), "holds no pixel of the emulator"),
        ([4999.0, 5001.0], "must lie between the emulator's 5000.00 and 5004.00"),
    ],
)
def test_pixels_that_are_not_there(nodes, wavelength, message):
    emulator = fit(nodes)
    with pytest.raises(ValueError, match=message):
        emulator.select(wavelength=wavelength)


# Grids -------------------------------------------------------------------------------------


def interior_hole(nodes):
    return ~(nodes == [2.0, 1.0]).all(axis=1)


def ragged_edge(nodes):
    return nodes.sum(axis=1) < 6.0


def mostly_holes(nodes):
    """Less than half of the lattice: scattered."""
    corners = np.isin(nodes[:, 0], (0.0, 4.5)) & np.isin(nodes[:, 1], (0.0, 3.0))
    return corners | (np.arange(len(nodes)) % 4 == 1)


@pytest.mark.parametrize("keep", [interior_hole, ragged_edge, mostly_holes])
@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_grids_with_holes_are_exact_at_their_nodes_and_good_between(nodes, keep, kind):
    parameters, spectra = nodes
    kept = keep(parameters)
    given = parameters[kept], spectra[kept]
    with pytest.raises(ValueError, match="nodes are missing"):
        fit(given, interpolation=kind)
    emulator = fit(given, interpolation=kind, saturation=0.1, holes="interpolate")
    np.testing.assert_allclose(emulator.predict(given[0]), given[1], atol=1e-9)
    inside = emulator.grid_.contains(parameters)
    predicted = emulator.predict(parameters[inside])
    assert np.sqrt(np.mean((predicted - spectra[inside]) ** 2)) < 0.03
    point = np.array([[1.3, 0.6]])
    np.testing.assert_allclose(
        emulator.jacobian(point), differences(emulator.predict, point, (1e-5, 1e-5)), atol=1e-6
    )
    assert emulator.distance(given[0]).max() == 0.0
    if keep is interior_hole:
        assert emulator.distance([[2.0, 1.0]])[0] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["linear", "radial", "auto"])
def test_clouds_of_nodes(kind):
    rng = np.random.default_rng(0)
    corners = np.array(list(product((0.0, 4.0), (0.0, 3.0))))
    parameters = np.concatenate([corners, rng.uniform([0, 0], [4, 3], (60, 2))])
    settings = {"interpolation": kind, "holes": "interpolate", "saturation": 0.1}
    emulator = fit((parameters, spectra_of(parameters)), **settings)
    np.testing.assert_allclose(emulator.predict(parameters), spectra_of(parameters), atol=1e-9)
    points = rng.uniform([0.2, 0.2], [3.8, 2.8], (20, 2))
    error = rms(emulator.predict(points), spectra_of(points))
    nearest = spectra_of(parameters)[emulator.grid_.nearest_node(points)]
    assert np.median(error) < 0.2 * np.median(rms(nearest, spectra_of(points)))
    assert (emulator.flux_error_ > 0).all()
    np.testing.assert_allclose(
        emulator.jacobian(points[:3]),
        differences(emulator.predict, points[:3], (1e-4, 1e-4)),
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_outside_is_an_error_or_moved(nodes, kind):
    kept = ragged_edge(nodes[0])
    given = nodes[0][kept], nodes[1][kept]
    emulator = fit(given, interpolation=kind, saturation=0.1, holes="interpolate")
    outside = np.array([[4.4, 2.9], [-1.0, 1.0]])
    for method in (emulator.predict, emulator.jacobian):
        with pytest.raises(ValueError, match=r"outside|hull"):
            method(outside)
    clipped = emulator.set_params(extrapolate="clip").predict(outside)
    np.testing.assert_allclose(clipped[1], emulator.predict([[0.0, 1.0]])[0], atol=1e-9)
    nearest = emulator.set_params(extrapolate="nearest").predict(outside)
    np.testing.assert_allclose(nearest, given[1][emulator.grid_.nearest_node(outside)], atol=1e-9)
    # Inside, nothing is moved.
    inside = emulator.predict([[0.4, 1.0]])
    assert np.abs(inside - emulator.predict([[0.0, 1.0]])).max() > 1e-3
    assert emulator.distance(outside).min() > 0.5
    with pytest.raises(ValueError, match="'wrap'"):
        emulator.set_params(extrapolate="wrap").predict(outside)


@pytest.mark.parametrize("kind", [*KINDS, "auto"])
@pytest.mark.parametrize(
    "axes", [((1.0,), (2.0,)), ((0.0, 1.0), (2.0,)), ((0.0, 1.0), (0.0, 2.0))]
)
def test_grids_of_few_nodes(axes, kind):
    given = made_of(*axes)
    longest = max(map(len, axes))
    needed = {"hermite": 3, "radial": 3, "cubic": 4}.get(kind, 1)
    if 1 < longest < needed:
        with pytest.raises(ValueError, match=rf"{kind}' needs at least {needed} values"):
            fit(given, interpolation=kind)
        return
    emulator = fit(given, interpolation=kind)
    np.testing.assert_allclose(emulator.predict(given[0]), given[1], atol=1e-11)
    assert emulator.flux_error_ is None
    assert emulator.error_ is None
    assert np.isnan(emulator.held_out_errors_).all()
    middle = given[0].mean(axis=0)[None]
    slopes = emulator.jacobian(middle)
    for column, axis in enumerate(axes):
        assert (np.abs(slopes[..., column]).max() > 0) == (len(axis) > 1)
    assert emulator.select(wavelength=(5001.0, 5002.0)).flux_error_ is None


def test_order_of_the_nodes_does_not_matter(nodes):
    rows = np.random.default_rng(0).permutation(len(nodes[0]))
    shuffled = fit((nodes[0][rows], nodes[1][rows]))
    np.testing.assert_allclose(shuffled.predict(POINTS), fit(nodes).predict(POINTS), atol=1e-10)


def test_nodes_in_any_memory(nodes, tmp_path):
    parameters, spectra = nodes
    expected = fit(nodes).predict(POINTS)
    frozen = [array.copy() for array in nodes]
    for array in frozen:
        array.flags.writeable = False
    np.save(tmp_path / "spectra.npy", spectra)
    mapped = np.load(tmp_path / "spectra.npy", mmap_mode="r")
    for given in (
        frozen,
        (parameters, mapped),
        (parameters.tolist(), spectra.tolist()),
        (np.asfortranarray(parameters), np.asfortranarray(spectra)),
    ):
        np.testing.assert_allclose(fit(given).predict(POINTS), expected, atol=1e-12)
    single = fit((parameters, spectra.astype(np.float32))).predict(POINTS)
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_points_do_not_depend_on_each_other(nodes):
    emulator = fit(nodes, interpolation="cubic", tolerance=1e-4)
    points = np.random.default_rng(0).uniform([0, 0], [4.5, 3], (200, 2))
    together, slopes = emulator.predict(points), emulator.jacobian(points)
    for row in (0, 7, 199):
        one = points[[row]]
        np.testing.assert_allclose(emulator.predict(one)[0], together[row], atol=1e-13)
        np.testing.assert_allclose(emulator.jacobian(one)[0], slopes[row], atol=1e-12)


def test_wavelengths_are_pixel_numbers_a_range_or_given(nodes):
    for wavelength, expected in (
        (None, np.arange(1.0, 81.0)),
        ((5000.0, 5004.0), WAVELENGTH),
        (WAVELENGTH, WAVELENGTH),
    ):
        emulator = FluxEmulator(wavelength, parameter_names=None).fit(*nodes)
        np.testing.assert_allclose(emulator.wavelength_, expected)


def test_score_is_r2_over_all_pixels(nodes):
    emulator = fit(nodes)
    expected = r2_score(
        spectra_of(POINTS), emulator.predict(POINTS), multioutput="variance_weighted"
    )
    assert emulator.score(POINTS, spectra_of(POINTS)) == pytest.approx(expected)
    assert 0.9 < expected < 1.0


# Copies and settings -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw_emulator(grid):
    emulator = FluxEmulator(grid.wavelength, all_normalizers(grid.wavelength), medium="air")
    return emulator.fit(grid.parameters, grid.spectra)


@pytest.mark.parametrize("name", ["plain", "all", "range", "pixels", "coarse"])
def test_copies_predict_the_same(grid, raw_emulator, tmp_path, name):
    plain = FluxEmulator(grid.wavelength, saturation=np.inf, tolerance=0, resolution=2e4)
    emulator = {
        "plain": plain.fit(grid.parameters, grid.normalised),
        "all": raw_emulator,
        "range": raw_emulator.select(wavelength=CUT),
        "pixels": raw_emulator.select(wavelength=np.linspace(8503.03, 8517.01, 50)),
        "coarse": raw_emulator._coarser(1e-2),
    }[name]

    def asked(emulator):
        return [
            emulator.predict(STARS),
            emulator.predict(STARS, absolute=True),
            emulator.jacobian(STARS, absolute=True),
            emulator.normalize(grid.spectra, grid.parameters),
            emulator.wavelength_,
            emulator.flux_error_,
            emulator.error_.factors(STARS),
            emulator.error_.spectra,
        ]

    joblib.dump(emulator, tmp_path / "emulator.joblib")
    save_model(tmp_path / "emulator.skops", emulator)
    for copy in (
        pickle.loads(pickle.dumps(emulator)),
        joblib.load(tmp_path / "emulator.joblib"),
        joblib.load(tmp_path / "emulator.joblib", mmap_mode="r"),
        load_model(tmp_path / "emulator.skops"),
    ):
        for found, expected in zip(asked(copy), asked(emulator), strict=True):
            np.testing.assert_array_equal(found, expected)
        for parameter in ("saturation", "tolerance", "medium", "resolution"):
            assert getattr(copy, parameter) == getattr(emulator, parameter)
        assert copy.select(wavelength=CUT).predict(STARS).shape[0] == 2
        assert copy._coarser(1e-3).predict(STARS).shape == emulator.predict(STARS).shape


def test_clones_know_nothing(raw_emulator):
    for emulator in (
        raw_emulator,
        raw_emulator.select(wavelength=CUT),
        raw_emulator._coarser(0.1),
    ):
        fresh = clone(emulator)
        assert not [name for name in vars(fresh) if name.endswith("_")]
        assert fresh.medium == "air"
        with pytest.raises(NotFittedError):
            fresh.predict(STARS)


def test_everything_asked_of_an_emulator_needs_a_fit():
    emulator = FluxEmulator()
    for call in (
        lambda: emulator.predict(STARS),
        lambda: emulator.jacobian(STARS),
        lambda: emulator.distance(STARS),
        lambda: emulator.normalize([[1.0, 1.0]], [[1.0]]),
        lambda: emulator.select(wavelength=CUT),
        lambda: emulator._coarser(1e-3),
        lambda: emulator.flux_error_,
    ):
        with pytest.raises(NotFittedError):
            call()


def test_settings_changed_after_fit_wait_for_the_next_fit(grid, raw_emulator):
    emulator = pickle.loads(pickle.dumps(raw_emulator))
    expected = emulator.predict(STARS, absolute=True), emulator.jacobian(STARS)
    emulator.set_params(
        interpolation="linear", saturation=1.0, tolerance=0.1, resolution=1e3, normalizer=None
    )
    np.testing.assert_array_equal(emulator.predict(STARS, absolute=True), expected[0])
    np.testing.assert_array_equal(emulator.jacobian(STARS), expected[1])
    assert emulator.resolution_ is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"interpolation": "spline"}, ValueError, "interpolation must be .*got 'spline'"),
        ({"extrapolate": "yes"}, ValueError, "extrapolate must be .*got 'yes'"),
        ({"holes": "fill"}, ValueError, "holes must be .*got 'fill'"),
        ({"medium": "water"}, ValueError, "medium must be 'air', 'vacuum' or None, got 'water'"),
        ({"saturation": 0.0}, ValueError, "saturation == 0.0, must be > 0"),
        ({"saturation": -0.1}, ValueError, "saturation == -0.1, must be > 0"),
        ({"saturation": "deep"}, ValueError, "saturation must be a positive depth or 'auto'"),
        ({"saturation": None}, TypeError, "saturation must be an instance of"),
        ({"tolerance": -1e-3}, ValueError, "tolerance == -0.001, must be >= 0"),
        ({"tolerance": "small"}, ValueError, "tolerance must be a number from 0 or 'auto'"),
        ({"tolerance": None}, TypeError, "tolerance must be an instance of"),
        ({"resolution": 0}, ValueError, "resolution == 0, must be > 0"),
        ({"resolution": "high"}, TypeError, "resolution must be an instance of"),
        ({"parameter_names": ("teff",)}, ValueError, "2 columns but parameter_names has 1"),
        ({"wavelength": WAVELENGTH[:-1]}, ValueError, "wavelength"),
        ({"wavelength": WAVELENGTH[::-1]}, ValueError, "wavelength"),
    ],
)
def test_bad_settings_are_named(nodes, settings, error, message):
    emulator = fit(nodes)
    expected = emulator.predict(POINTS)
    emulator.set_params(**settings)
    with pytest.raises(error, match=message):
        emulator.fit(*nodes)
    # The refused fit left the one before as it was.
    emulator.set_params(extrapolate="error")
    np.testing.assert_array_equal(emulator.predict(POINTS), expected)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, 1e14 * y), "^y must hold normalised flux .*spectrum 0 has a median of"),
        (lambda X, y: (X, 1e-16 * y), "^y must hold normalised flux .*PercentileNormalizer"),
        (lambda X, y: (X, changed(y, 3, 1e9 * y[3])), "^y must hold .*spectrum 3 has a median"),
        (lambda X, y: (X, changed(y, (3, 7), np.nan)), "^y contains NaN.*spectrum 3 .*pixel 7"),
        (lambda X, y: (X, changed(y, (3, 7), np.inf)), "^y contains infinity.*spectrum 3"),
        (lambda X, y: (X, changed(y, 3, -y[3])), "must hold flux, but .*spectrum 3 are negative"),
        (lambda X, y: (changed(X, (3, 1), np.nan), y), "X contains NaN"),
        (lambda X, y: (X, y[:, 0]), r"one spectrum in each row, shape \(n_nodes, n_pixels\)"),
        (lambda X, y: (X, y[:-1]), r"inconsistent numbers of samples: \[20, 19\]"),
        (lambda X, y: (X[:, 0], y), "Expected 2D array"),
        (lambda X, y: (changed(X, 1, X[0]), y), "each node once, but 1 is repeated"),
    ],
)
def test_bad_nodes_are_told(nodes, change, message):
    with pytest.raises(ValueError, match=message):
        fit(change(*nodes))


def test_raw_flux_is_refused_only_without_a_normalizer(grid):
    with pytest.raises(ValueError, match=r"^y must hold normalised flux"):
        FluxEmulator(grid.wavelength).fit(grid.parameters, grid.spectra)
    emulator = FluxEmulator(grid.wavelength, PercentileNormalizer(99))
    assert emulator.fit(grid.parameters, grid.spectra).predict(STARS).max() < 1.1


def test_bad_points_are_told(nodes):
    emulator = fit(nodes)
    with pytest.raises(ValueError, match="features"):
        emulator.predict([[0.4]])
    with pytest.raises(ValueError, match="NaN"):
        emulator.predict([[0.4, np.nan]])
    with pytest.raises(ValueError, match=r"row 1 has x0=5, outside \[0, 4.5\].*'clip'.*'nearest'"):
        emulator.predict([[0.4, 0.3], [5.0, 0.3]])
