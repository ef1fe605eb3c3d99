"""Equations of a reference star, their covariance, and how corrections are solved for."""

from dataclasses import fields, replace

import numpy as np
import pytest
from calibration_stars import PARAMETERS, emulator_of, make_line_grid, observe
from numpy.testing import assert_allclose

from skphx.calibration import CalibratedEmulator, _covariance
from skphx.calibration._corrections import Coordinates, LineCorrections
from skphx.calibration._covariance import StarCovariance
from skphx.calibration._design import Design
from skphx.calibration._features import LineGroups, OwnLines, group_lines
from skphx.calibration._learning import KERNELS, Learning, ModelVariances, Solution
from skphx.calibration._prior import LearntPrior
from skphx.calibration._reference_star import Equations, ReferenceStar
from skphx.inference import ObservationModel
from skphx.species._line_names import strongest_lines

STAR = 1


@pytest.fixture(scope="module")
def emulator():
    return emulator_of(make_line_grid())


@pytest.fixture(scope="module")
def groups(emulator):
    return group_lines(strongest_lines(emulator.manifold_.at(PARAMETERS)), None, "air")


@pytest.fixture(scope="module")
def corrections(emulator, groups):
    random = np.random.default_rng(1)
    names = emulator.grid_.parameter_names
    none = LineCorrections.none(
        emulator, (0, 1, 2), Coordinates.of_stars(PARAMETERS, names), groups
    )
    return replace(
        none,
        strength=random.normal(scale=0.1, size=len(none)),
        width=random.normal(scale=0.1, size=len(none)),
        slope=random.normal(scale=0.1, size=len(none)),
        wings=random.normal(scale=0.05, size=none.wings.shape),
        added=np.array([[8510.0, 0.1, 0.02], [8518.0, 0.15, -0.01]]),
    )


@pytest.fixture(scope="module")
def star(emulator, corrections):
    """A star of two segments, fitted with velocity and rotation."""
    model = ObservationModel(
        velocity=(-40.0, 40.0), vsini=(0.0, 30.0), continuum_degree=2, medium="air"
    )
    whole = observe(emulator, PARAMETERS[STAR], velocity=12.0)[0]
    # Every second pixel: then each is a bin of its own.
    parts = [
        {name: value if np.ndim(value) == 0 else value[where] for name, value in whole.items()}
        for where in (slice(0, 180, 2), slice(160, None, 2))
    ]
    segments = model.segments_of(parts, "air")
    star = ReferenceStar(emulator, segments, model, PARAMETERS[STAR], np.array([60.0, 0.1, 0.0]))
    star.fit(CalibratedEmulator._of_fitted(emulator, corrections))
    return star


def every_line(corrections):
    numbers = np.arange(len(corrections))
    return OwnLines(numbers, numbers)


@pytest.fixture(scope="module")
def equations(star, corrections, groups):
    return star.equations(corrections, groups, every_line(corrections))


def test_star_is_fitted(star, equations):
    assert_allclose(star.kinematics[0, 0], 12.0, atol=1.0)
    good = star.good[0]
    assert_allclose(equations.sigma, 0.004 / star.level[0, good])
    assert set(equations.segment) == {0, 1}
    assert equations.residual.std() < 0.1


def observed(star, corrections, parameters=None, kinematics=None):
    """Model of the star's pixels with its fitted continuum, in units of its level."""
    emulator = CalibratedEmulator._of_fitted(star.emulator.emulator_, corrections)
    point = star.stellar_point if parameters is None else parameters
    seen = star.forward.observe_with_derivatives(
        emulator._flux(point), None, star.kinematics if kinematics is None else kinematics, ()
    )[0]
    spectrum = star.likelihood.spectrum(star.point)
    _, continuum, _ = star.likelihood.with_continuum(spectrum, np.array([0]))
    return (seen * continuum / star.level)[0, star.good[0]]


def moved(corrections, name, where, step):
    values = getattr(corrections, name).copy()
    values[where] += step
    return replace(corrections, **{name: values})


def derivative(star, corrections, name, where, step=1e-3):
    up, down = (observed(star, moved(corrections, name, where, sign * step)) for sign in (1, -1))
    return (up - down) / (2 * step)


def close(found, expected):
    assert np.abs(expected).max() > 1e-4
    assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max() + 1e-5)


@pytest.mark.parametrize("name", ["strength", "width"])
def test_columns_of_lines_and_groups(star, equations, corrections, groups, name):
    n_lines, n_groups = len(corrections), len(groups.names)
    lines = equations.lines.reshape(2, n_lines, -1)[("strength", "width").index(name)]
    seen = np.flatnonzero(np.abs(lines).max(axis=1) > 1e-3)
    assert len(seen) > 8
    for line in seen:
        close(lines[line], derivative(star, corrections, name, line))
    common = equations.groups.reshape(2, n_groups, -1)[("strength", "width").index(name)]
    for group in range(n_groups):
        members = groups.number == group
        close(common[group], derivative(star, corrections, name, members))


def test_columns_of_wings_and_slopes(star, equations, corrections, groups):
    own = every_line(corrections)
    at, _ = corrections.coordinates.at(star.stellar_point)
    assert np.abs(at).min() > 0.1
    design = Design(groups, own, with_slopes=True, n_added=2)
    columns = design.columns(equations, at[0])
    assert len(columns) == len(design.label) == len(design.start_variance)
    slopes = columns[design.parts["slope"]]
    line = int(np.argmax(np.abs(slopes).max(axis=1)))
    close(slopes[line], derivative(star, corrections, "slope", line))
    for added, column in enumerate(columns[design.parts["added"]]):
        close(column, derivative(star, corrections, "added", (added, 2)))
    wings = columns[design.parts["wings"]].reshape(3, len(groups.feature_center), 3, -1)
    feature = int(np.argmax(np.abs(wings).max(axis=(0, 2, 3))))
    for basis in range(3):
        for width in range(3):
            where = (feature, width, basis)
            expected = derivative(star, corrections, "wings", where)
            close(wings[basis, feature, width], expected)


def test_columns_of_stellar_parameters_and_what_is_free(star, equations, corrections):
    for column, step in enumerate((1.0, 1e-3, 1e-3)):
        move = np.zeros((1, 3))
        move[0, column] = step
        up, down = (
            observed(star, corrections, star.stellar_point + sign * move) for sign in (1, -1)
        )
        expected = (up - down) / (2 * step)
        size = np.abs(expected).max()
        assert_allclose(equations.stellar[column], expected, atol=2e-3 * size)
    errors = np.array([60.0, 0.1, 0.0])
    assert_allclose(equations.nuisance[-3:], equations.stellar * errors[:, None])
    # Velocity and rotation, and three coefficients of each of two continua.
    assert len(equations.nuisance) == 2 + 6 + 3
    assert_allclose(np.abs(equations.nuisance[:-3]).max(axis=1), 1.0)
    step = np.array([[0.01, 0.0, 0.0, 0.0]])
    up, down = (
        observed(star, corrections, kinematics=star.kinematics + sign * step) for sign in (1, -1)
    )
    found = equations.nuisance[0]
    expected = (up - down) / np.abs(up - down).max()
    assert_allclose(found * np.sign(found @ expected), expected, atol=5e-3)


def test_bins_are_weighted_means(emulator, corrections, groups):
    """Pixels of half the size, put together to bins, say the same as without bins."""
    model = ObservationModel(continuum_degree=2, medium="air")
    whole = observe(emulator, PARAMETERS[STAR])[0]
    whole["sigma"] = np.where(np.arange(len(whole["flux"])) % 3 == 0, 0.004, 0.012)
    whole["mask"] = np.arange(len(whole["flux"])) % 37 == 5
    star = ReferenceStar(
        emulator, model.segments_of(whole, "air"), model, PARAMETERS[STAR], np.zeros(3)
    )
    star.fit(emulator)
    zero = np.zeros(len(corrections))
    none = replace(
        corrections,
        strength=zero,
        width=zero,
        slope=zero,
        wings=0.0 * corrections.wings,
        added=np.zeros((0, 3)),
    )
    binned = star.equations(none, groups, OwnLines(np.array([2, 5]), np.array([5])))
    bins = star._bins(star.good[0])
    star._bins = lambda good: np.arange(good.sum())
    single = star.equations(none, groups, OwnLines(np.array([2, 5]), np.array([5])))
    assert len(binned.sigma) < 0.6 * len(single.sigma)
    weights = 1.0 / single.sigma**2
    total = np.bincount(bins, weights)
    assert_allclose(binned.sigma, total**-0.5)
    for field in fields(Equations):
        values = getattr(single, field.name)
        if field.name not in ("sigma", "segment"):
            for row, found in zip(
                np.atleast_2d(values), np.atleast_2d(getattr(binned, field.name)), strict=True
            ):
                assert_allclose(
                    found, np.bincount(bins, weights * row) / total, atol=1e-10, rtol=1e-8
                )


def made_up_equations(
    n_pixels=70, n_active=3, n_groups=2, n_wings=3, n_cores=17, n_added=2, seed=0
):
    random = np.random.default_rng(seed)
    pixels = np.arange(n_pixels)
    near = np.exp(-0.5 * ((pixels - random.uniform(0, n_pixels, size=(n_active, 1))) / 3.0) ** 2)
    return Equations(
        lines=np.concatenate([near, near * np.cos(pixels)]),
        groups=random.normal(size=(2 * n_groups, n_pixels)),
        wings=random.normal(size=(n_wings, n_pixels)),
        cores=random.normal(size=(n_cores, n_pixels)),
        added=random.normal(size=(n_added, n_pixels)),
        residual=random.normal(size=n_pixels),
        sigma=random.uniform(0.1, 0.3, size=n_pixels),
        nuisance=random.normal(size=(2, n_pixels)),
        stellar=random.normal(size=(2, n_pixels)),
        level=random.uniform(0.8, 1.2, size=n_pixels),
        velocity=5.0 * pixels,
        segment=(pixels >= 40).astype(int),
    )


VARIANCES = ModelVariances(
    np.linspace(0.05, 0.3, 6),
    np.linspace(0.02, 0.1, 4),
    np.full(3, 0.04),
    np.full(17, 0.01),
    ((0.2, 17.0), (0.1, 100.0)),
)


def dense_parts(one, variances, cuts, added=None):
    """Return the covariance of the pixels and the correlations, by loops over blocks."""
    n_pixels = len(one.sigma)
    same = np.zeros((n_pixels, n_pixels), dtype=bool)
    for start, stop in cuts:
        same[start:stop, start:stop] = True
    distance = np.abs(one.velocity[:, None] - one.velocity)
    kernels = [
        same * np.exp(-distance / length) * one.level[:, None] * one.level
        for _, length in variances.kernels
    ]
    covariance = np.diag(one.sigma**2) + same * (one.lines.T * variances.lines @ one.lines)
    covariance += same * (one.cores.T * variances.cores @ one.cores)
    for (amplitude, _), kernel in zip(variances.kernels, kernels, strict=True):
        covariance += amplitude**2 * kernel
    covariance += one.groups.T * variances.groups @ one.groups
    covariance += one.wings.T * variances.wings @ one.wings + one.nuisance.T @ one.nuisance
    if added is not None:
        covariance += added.T @ added
    return covariance, kernels


@pytest.mark.parametrize(
    ("block", "cuts"),
    [
        (2500, [(0, 40), (40, 70)]),
        (16, [(0, 14), (14, 27), (27, 40), (40, 55), (55, 70)]),
    ],
)
@pytest.mark.parametrize("is_added", [False, True])
def test_covariance_is_the_dense_one(monkeypatch, block, cuts, is_added):
    monkeypatch.setattr(_covariance, "_BLOCK", block)
    one = made_up_equations()
    random = np.random.default_rng(2)
    added = random.normal(size=(2, 70)) if is_added else None
    dense, kernels = dense_parts(one, VARIANCES, cuts, added)
    inverse = np.linalg.inv(dense)
    covariance = StarCovariance(one, VARIANCES)
    if is_added:
        covariance = covariance.widened(added)
    assert_allclose(covariance.log_determinant, np.linalg.slogdet(dense)[1])
    first, second = random.normal(size=(4, 70)), random.normal(size=(3, 70))
    prepared = covariance.prepare(first), covariance.prepare(second)
    assert_allclose(covariance.product(*prepared), first @ inverse @ second.T, atol=1e-9)
    assert_allclose(covariance.squares(prepared[0]), np.diag(first @ inverse @ first.T))
    lengths = [length for _, length in VARIANCES.kernels]
    quadratic, trace = covariance.kernel_terms(one.residual, one, lengths)
    solved = inverse @ one.residual
    assert_allclose(quadratic, [solved @ kernel @ solved for kernel in kernels])
    assert_allclose(trace, [(inverse * kernel).sum() for kernel in kernels])


@pytest.fixture
def learning():
    """Five made-up spectra of four stars, whose residuals follow known corrections."""
    feature = np.array([0, -1, -1, -1])
    groups = LineGroups(
        ["a", "b"], np.array([0, 0, 1, 1]), np.full(4, ""), feature, np.array([8500.0]), [""]
    )
    design = Design(
        groups, OwnLines(np.array([0, 1, 3]), np.array([0, 1, 3])), with_slopes=True, n_added=2
    )
    equations = [made_up_equations(seed=seed) for seed in range(5)]
    random = np.random.default_rng(7)
    values = 0.3 * random.normal(size=len(design.label))
    columns = [design.columns(one, random.normal(size=2)) for one in equations]
    targets = [
        values @ rows + one.sigma * random.normal(size=70)
        for one, rows in zip(equations, columns, strict=True)
    ]
    learning = Learning(design, equations, columns, targets, np.array([0, 1, 1, 2, 3]))
    learning.weigh(VARIANCES)
    return learning


CUTS = [(0, 40), (40, 70)]


def ridge(learning, spectra, prior):
    """Solve with dense matrices: values, their covariance, and the information."""
    columns = np.concatenate([learning.columns[one] for one in spectra], axis=1)
    targets = np.concatenate([learning.targets[one] for one in spectra])
    inverse = np.zeros((len(targets), len(targets)))
    for place, one in enumerate(spectra):
        part = slice(70 * place, 70 * (place + 1))
        dense, _ = dense_parts(learning.equations[one], VARIANCES, CUTS)
        inverse[part, part] = np.linalg.inv(dense)
    information = columns @ inverse @ columns.T
    covariance = np.linalg.inv(information + np.diag(1.0 / prior))
    return covariance @ columns @ inverse @ targets, covariance, information


def test_solution_is_a_ridge_regression(learning):
    prior = learning.design.start_variance
    solution = learning.solve(prior)
    values, covariance, information = ridge(learning, range(5), prior)
    assert_allclose(solution.values, values, atol=1e-9)
    assert_allclose(solution.error, np.sqrt(np.diag(covariance)))
    assert_allclose(
        solution.sampling_error, np.sqrt(np.diag(covariance @ information @ covariance))
    )
    assert_allclose(solution.conditional, 1.0 / (np.diag(information) + 1.0 / prior))
    for star in range(5):
        _, _, own = ridge(learning, [star], prior)
        assert_allclose(solution.information[star], np.diag(own), rtol=1e-6, atol=1e-9)


def solution_of(values, error, prior):
    """Return a solution with given corrections and errors."""
    return Solution(values, error, np.diag(error**2), error, error**2, prior.copy(), error[None])


def many_lines(n_lines=200):
    groups = LineGroups(
        ["a"],
        np.zeros(n_lines, int),
        np.full(n_lines, ""),
        np.full(n_lines, -1),
        np.zeros(0),
        [],
    )
    every = np.arange(n_lines)
    return Design(groups, OwnLines(every, every), with_slopes=False)


def test_prior_shrinks_where_nothing_is_wrong():
    """Lines known to 0.01 differ from 0 by their errors."""
    design, random = many_lines(), np.random.default_rng(0)
    prior = LearntPrior(design)
    strength = design.parts["strength"]
    for _ in range(8):
        # The solution shrinks with the prior.
        kept = prior.variance / (prior.variance + 0.01**2)
        values = kept * random.normal(scale=0.01, size=len(kept))
        prior.learn(solution_of(values, 0.01 * np.sqrt(kept), prior.variance))
    assert (np.sqrt(prior.variance[strength]) < 0.02).all()
    assert (prior.variance >= 1e-6 * design.start_variance).all()


def test_prior_of_a_line_that_needs_much_stays_wide():
    """One of 200 lines is off by 0.6, the others by nothing."""
    design = many_lines()
    prior = LearntPrior(design)
    truth = np.zeros(len(design.label))
    truth[7] = 0.6
    for _ in range(8):
        kept = prior.variance / (prior.variance + 0.05**2)
        prior.learn(solution_of(kept * truth, 0.05 * np.sqrt(kept), prior.variance))
    width = np.sqrt(prior.variance)
    assert width[7] > 0.2
    assert width[8] < 0.06
    # It is found nearly whole; with the width that all lines share it would not be.
    assert prior.variance[7] / (prior.variance[7] + 0.05**2) > 0.9


def test_prior_of_another_design_is_kept():
    groups = many_lines(5)
    before = LearntPrior(groups)
    before.learn(solution_of(np.full(12, 0.1), np.full(12, 0.01), before.variance))
    after = LearntPrior(groups, before)
    assert_allclose(after.variance, before.variance)
    assert not np.allclose(after.variance, groups.start_variance)


def test_stars_left_out_are_solved_without(learning):
    """Spectra 1 and 2 are of one star."""
    prior = learning.design.start_variance
    left_out = learning.leave_stars_out(prior)
    log_density = 0.0
    for star, rest in enumerate([[1, 2, 3, 4], [0, 3, 4], [0, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3]]):
        values, covariance, _ = ridge(learning, rest, prior)
        one, rows = learning.equations[star], learning.columns[star]
        dense = dense_parts(one, VARIANCES, CUTS)[0] + rows.T @ covariance @ rows
        residual = learning.targets[star] - values @ rows
        inverse = np.linalg.inv(dense)
        log_density -= 0.5 * (residual @ inverse @ residual + np.linalg.slogdet(dense)[1])
        variance = np.linalg.inv(one.stellar @ inverse @ one.stellar.T)
        shift = variance @ one.stellar @ inverse @ residual
        assert_allclose(left_out.shifts[star], shift, atol=1e-6)
        assert_allclose(left_out.errors[star], np.sqrt(np.diag(variance)), rtol=1e-6)
    assert_allclose(left_out.log_density, log_density)
    assert left_out.scale >= 1.0
    quick = learning.leave_stars_out(prior, with_variances=False)
    assert_allclose(quick.log_density, log_density)
    assert_allclose(quick.shifts, left_out.shifts)
    assert_allclose(quick.errors, left_out.errors)
    assert quick.variances is learning.variances


def test_variances_grow_if_residuals_are_larger(learning):
    prior = learning.design.start_variance
    before = learning.leave_stars_out(prior).variances
    learning.targets = [5.0 * target for target in learning.targets]
    learning.weigh(VARIANCES)
    after = learning.leave_stars_out(prior).variances
    for name in ("lines", "groups", "wings", "cores"):
        assert (getattr(after, name) >= getattr(before, name)).all(), name
    assert (after.lines > before.lines).all()
    for (new, length), (old, same_length) in zip(after.kernels, before.kernels, strict=True):
        assert new > old
        assert length == same_length


def test_starting_variances_can_be_scaled():
    start = ModelVariances.start(made_up_equations(n_wings=6))
    parts = (start.lines, start.groups, start.wings, start.cores)
    assert [len(part) for part in parts] == [6, 4, 6, 17]
    scaled = start.scaled(4.0)
    assert_allclose(scaled.lines, 4.0 * start.lines)
    assert_allclose([a for a, _ in scaled.kernels], [2.0 * a for a, _ in KERNELS])
