"""The line engine: the mesh against the plain sum, gradients, invariants, published spectra."""

import os
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skphx.lines import optical_depth, pseudo_voigt, render_flux
from skphx.lines._engine.arguments import TRANSMISSIONS
from skphx.lines._engine.devices import check_device, fetch, send
from skphx.lines._engine.profile import PROFILES, get_profile
from skphx.lines._render import render_jvp
from skphx.paper import read_state_dicts

# The figure: error over the largest optical depth.
TOLERANCE = 1e-6


def make_lines(n_lines, first, last, *, log_width=-2.5, spread=1.0, seed=0):
    """Random lines; some lie outside the pixels' range."""
    rng = np.random.default_rng(seed)
    span = last - first
    log_sigma = rng.normal(log_width, spread, n_lines)
    log_gamma = rng.normal(log_width, spread, n_lines)
    return [
        rng.uniform(first - 0.2 * span, last + 0.2 * span, n_lines),
        np.maximum(log_sigma, log_gamma) + rng.normal(-0.5, 1.0, n_lines),
        log_sigma,
        log_gamma,
    ]


def relative_error(value, reference):
    return np.abs(value - reference).max() / np.abs(reference).max()


@pytest.fixture
def torch():
    """The module: tests of tensors need it."""
    return pytest.importorskip("torch")


every_kind = pytest.mark.parametrize("transmission", TRANSMISSIONS)
every_profile = pytest.mark.parametrize("profile", PROFILES)


@every_profile
def test_direct_is_the_sum_as_written(profile):
    wavelength = np.linspace(5000.0, 5010.0, 200)
    lines = make_lines(7, 5000.0, 5010.0)
    total, transmitted = 0.0, 1.0
    for center, log_area, log_sigma, log_gamma in zip(*lines, strict=True):
        shape = get_profile(profile)(wavelength - center, np.exp(log_sigma), np.exp(log_gamma))
        absorbed = np.exp(log_area) * shape
        total = total + absorbed
        transmitted = transmitted * np.maximum(1.0 - absorbed, 1e-9)
    options = {"profile": profile, "method": "direct"}
    depth = optical_depth(wavelength, *lines, **options)
    np.testing.assert_allclose(depth, total, rtol=1e-12)
    flux = render_flux(wavelength, *lines, transmission="product", **options)
    np.testing.assert_allclose(flux, transmitted, rtol=1e-7)


@every_kind
@every_profile
@given(
    seed=st.integers(0, 2**31),
    sampling=st.sampled_from(["even", "two steps", "logarithmic", "irregular"]),
    n_pixels=st.integers(2, 1500),
    n_lines=st.integers(1, 30),
    log_span=st.floats(-1.0, 7.5),
    log_width=st.floats(-9.0, 6.0),
    log_ratio=st.floats(-4.0, 4.0),
    spread=st.sampled_from([0.0, 0.5, 3.0]),
    place=st.sampled_from(["inside", "around", "outside"]),
)
@settings(
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_mesh_equals_direct_on_hard_cases(
    profile,
    transmission,
    seed,
    sampling,
    n_pixels,
    n_lines,
    log_span,
    log_width,
    log_ratio,
    spread,
    place,
):
    rng = np.random.default_rng(seed)
    span = np.exp(log_span)
    unit = np.linspace(0.0, 1.0, n_pixels)
    unit = {
        "even": unit,
        "two steps": np.where(unit < 0.5, 0.5 * unit, 1.5 * unit - 0.5),
        "logarithmic": np.expm1(unit) / np.expm1(1.0),
        "irregular": np.cumsum(rng.uniform(0.01, 1.0, n_pixels)) / n_pixels,
    }[sampling]
    wavelength = 8000.0 + span * unit
    log_sigma = rng.normal(log_width, spread, n_lines)
    log_gamma = rng.normal(log_width + log_ratio, spread, n_lines)
    log_area = np.maximum(log_sigma, log_gamma) + rng.normal(0.0, 2.0, n_lines)
    center = {
        "inside": rng.uniform(0.0, 1.0, n_lines),
        "around": rng.uniform(-2.0, 3.0, n_lines),
        "outside": 1.0 + 10.0 ** rng.uniform(-3.0, 3.0, n_lines),
    }[place]
    lines = [8000.0 + span * center, log_area, log_sigma, log_gamma]
    options = {"profile": profile, "transmission": transmission}
    direct = optical_depth(wavelength, *lines, **options, method="direct")
    mesh = optical_depth(wavelength, *lines, **options, method="mesh")
    assert np.isfinite(mesh).all()
    np.testing.assert_array_less(np.abs(mesh - direct), TOLERANCE * direct.max() + 1e-300)


@every_kind
@every_profile
def test_gradients_of_mesh_equal_those_of_direct(torch, profile, transmission):
    wavelength = np.linspace(8000.0, 8200.0, 1500)
    lines = [torch.tensor(v) for v in make_lines(60, 8000.0, 8200.0, spread=1.5)]
    weight = torch.tensor(np.random.default_rng(1).normal(size=1500))
    gradients = {}
    for method in ("mesh", "direct"):
        leaves = [value.clone().requires_grad_() for value in lines]
        depth = optical_depth(
            wavelength, *leaves, profile=profile, transmission=transmission, method=method
        )
        gradients[method] = torch.autograd.grad(depth, leaves, weight)
    for fast, direct in zip(gradients["mesh"], gradients["direct"], strict=True):
        assert relative_error(fast.numpy(), direct.numpy()) < TOLERANCE


@pytest.mark.slow
@every_kind
@every_profile
@pytest.mark.parametrize("options", [{"method": "mesh"}, {"method": "direct"}, {"wing_cut": 40}])
def test_gradients_against_finite_differences(torch, monkeypatch, profile, transmission, options):
    # Windows take the compiled path only where they are worth it.
    monkeypatch.setattr("skphx.lines._render._SMALL", 0)
    wavelength = np.linspace(8000.0, 8020.0, 60)
    lines = make_lines(6, 8000.0, 8020.0, log_width=-1.0, spread=0.3)
    lines[1] -= 1.5
    leaves = [torch.tensor(value, requires_grad=True) for value in lines]
    options = options | {"profile": profile, "transmission": transmission}

    def depth(*parameters):
        return optical_depth(wavelength, *parameters, **options)

    # The mesh differs from the exact sum by 1e-8, smoothly, so that steps must not be tiny.
    assert torch.autograd.gradcheck(depth, leaves, eps=1e-4, atol=2e-6, rtol=1e-5)


@every_kind
@every_profile
@pytest.mark.parametrize("wing_cut", [None, 200])
def test_adjoint_tangent_and_torch_path_agree(torch, monkeypatch, profile, transmission, wing_cut):
    """<g, J t> = <Jᵀ g, t>, to rounding, compiled and not; and both paths give one sum."""
    monkeypatch.setattr("skphx.lines._render._SMALL", 0)
    rng = np.random.default_rng(2)
    wavelength = np.linspace(8000.0, 8100.0, 900)
    lines = make_lines(50, 8000.0, 8100.0, spread=2.0)
    tangent = rng.normal(size=(1, 4, 50))
    weight = torch.tensor(rng.normal(size=900))
    options = {"profile": profile, "transmission": transmission, "wing_cut": wing_cut}
    fluxes = []
    for compiled in (True, False):
        monkeypatch.setattr("skphx.lines._engine.autograd.COMPILED", compiled)
        leaves = [torch.tensor(value, requires_grad=True) for value in lines]
        flux, change = (
            value.numpy() for value in render_jvp(wavelength, *leaves, tangent, **options)
        )
        tensor = render_flux(wavelength, *leaves, **options)
        np.testing.assert_array_equal(tensor.detach().numpy(), flux)
        tensor.backward(weight)
        forward = float((change[0] * weight.numpy()).sum())
        backward = sum(
            float((leaf.grad.numpy() * t).sum())
            for leaf, t in zip(leaves, tangent[0], strict=True)
        )
        assert forward == pytest.approx(backward, rel=1e-10)
        fluxes.append((flux, change, *(leaf.grad.numpy() for leaf in leaves)))
    for compiled, plain in zip(*fluxes, strict=True):
        # ln(1 − aV) near its clip differs by the rounding of 1e-9.
        assert relative_error(compiled, plain) < 2e-9


@pytest.mark.slow
@every_kind
@every_profile
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"method": "mesh"},
        {"method": "direct"},
        {"wing_cut": 200},
        {"wing_cut": 200, "method": "direct"},
    ],
)
def test_arrays_and_tensors_have_the_same_tangents(
    torch, monkeypatch, profile, transmission, options, compiled
):
    """Arrays, tensors, and torch's dual numbers; the direct sum of these is torch's alone."""
    monkeypatch.setattr("skphx.lines._render._SMALL", 0)
    monkeypatch.setattr("skphx.lines._engine.autograd.COMPILED", compiled)
    options = options | {"profile": profile, "transmission": transmission}
    wavelength = np.linspace(8000.0, 8100.0, 900)
    lines = make_lines(50, 8000.0, 8100.0, spread=2.0, seed=4)
    tangents = np.random.default_rng(5).normal(size=(2, 4, 50))
    tangents[:, 0] *= 0.01
    offsets = [0, 20, 50]
    flux, slopes = render_jvp(wavelength, *lines, tangents, offsets=offsets, **options)
    assert isinstance(flux, np.ndarray)
    assert isinstance(slopes, np.ndarray)
    np.testing.assert_allclose(
        flux, render_flux(wavelength, *lines, offsets=offsets, **options), rtol=1e-14
    )
    tensors = [torch.tensor(value) for value in lines]
    results = render_jvp(wavelength, *tensors, tangents, offsets=offsets, **options)
    for result, expected in zip(results, (flux, slopes), strict=True):
        # ln(1 − aV) near its clip differs by the rounding of 1e-9.
        assert relative_error(result.numpy(), expected) < 2e-9
    for tangent, slope in zip(tangents, slopes, strict=True):
        with torch.autograd.forward_ad.dual_level(), warnings.catch_warnings():
            # torch loads its own scripted formulas when the first dual tensor is made.
            warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
            moving = [
                torch.autograd.forward_ad.make_dual(value, torch.tensor(change))
                for value, change in zip(tensors, tangent, strict=True)
            ]
            dual = render_flux(wavelength, *moving, offsets=offsets, **options)
            change = torch.autograd.forward_ad.unpack_dual(dual).tangent
        assert relative_error(change.numpy(), slope) < 2e-9


def test_jvp_is_the_slope_of_the_flux():
    wavelength = np.linspace(8000.0, 8100.0, 800)
    lines = make_lines(40, 8000.0, 8100.0)
    tangents = np.random.default_rng(3).normal(size=(2, 4, 40))
    tangents[:, 0] *= 0.01
    _, change = render_jvp(wavelength, *lines, tangents, method="mesh")
    step = 1e-4
    for tangent, slope in zip(tangents, change, strict=True):
        ends = [
            render_flux(
                wavelength,
                *(v + sign * step * t for v, t in zip(lines, tangent, strict=True)),
                method="direct",
            )
            for sign in (1.0, -1.0)
        ]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2.0 * step), atol=1e-5)
    flux, none = render_jvp(wavelength, *lines, tangents[:0])
    assert none.shape == (0, 800)
    np.testing.assert_allclose(flux, render_flux(wavelength, *lines))
    with pytest.raises(ValueError, match=r"tangents must have shape \(n_directions, 4, 40\)"):
        render_jvp(wavelength, *lines, tangents[0])


@pytest.mark.parametrize("method", ["direct", "mesh"])
@given(shift=st.floats(-100.0, 100.0))
@settings(deadline=None, max_examples=15, derandomize=True)
def test_shift_of_wavelength_is_shift_of_lines(method, shift):
    wavelength = np.linspace(5000.0, 5100.0, 700)
    center, *shape = make_lines(30, 5000.0, 5100.0)
    here = optical_depth(wavelength, center, *shape, method=method)
    there = optical_depth(wavelength + shift, center + shift, *shape, method=method)
    assert relative_error(there, here) < 1e-9


def test_order_of_lines_does_not_matter():
    wavelength = np.linspace(5000.0, 5100.0, 700)
    lines = make_lines(50, 5000.0, 5100.0)
    order = np.random.default_rng(0).permutation(50)
    here = optical_depth(wavelength, *lines, method="mesh")
    there = optical_depth(wavelength, *(value[order] for value in lines), method="mesh")
    assert relative_error(there, here) < 1e-12


@pytest.mark.parametrize("log_width", [-7.0, -2.0, 2.0])
def test_area_of_a_line_is_its_area_parameter(log_width):
    width = np.exp(log_width)
    # Steps that widen with the distance, out to where the wings hold 1e-5 of the area.
    half = width * np.sinh(np.linspace(0.0, 12.0, 20_001))
    wavelength = 1e6 + np.concatenate([-half[:0:-1], half])
    depth = optical_depth(wavelength, [1e6], [-2.0], [log_width], [log_width - 1.0], method="mesh")
    assert np.trapezoid(depth, wavelength) == pytest.approx(np.exp(-2.0), rel=1e-4)


@every_kind
def test_many_saturated_lines_do_not_underflow(transmission):
    wavelength = np.linspace(5000.0, 5001.0, 300)
    n = 400
    lines = [np.full(n, 5000.5), np.full(n, 1.0), np.full(n, -2.0), np.full(n, -2.0)]
    options = {"transmission": transmission}
    direct = optical_depth(wavelength, *lines, **options, method="direct")
    mesh = optical_depth(wavelength, *lines, **options, method="mesh")
    assert direct.max() > 745.0
    assert relative_error(mesh, direct) < 1e-7


VALUES = [-1e300, -1000.0, -20.0, 0.0, 20.0, 1000.0]
GRID = np.meshgrid([-1e300, -1000.0, 5006.0], [-1e300, 0.0, 1e300], VALUES, VALUES)
ABSURD_LINES = np.stack([axis.ravel() for axis in GRID], axis=1)[::3]


@pytest.mark.slow
@every_kind
@every_profile
@pytest.mark.parametrize("method", ["direct", "mesh"])
def test_absurd_lines_leave_flux_and_tangents_finite(profile, transmission, method):
    wavelength = np.linspace(5000.0, 5012.0, 301)
    for lines in ABSURD_LINES:
        lines = np.stack([lines, [5003.0, -2.0, -2.0, -2.0]], axis=1)
        flux, slopes = render_jvp(
            wavelength,
            *lines,
            np.ones((1, 4, 2)),
            profile=profile,
            transmission=transmission,
            method=method,
        )
        assert ((flux >= 0.0) & (flux <= 1.0)).all()
        assert np.isfinite(slopes).all()


@pytest.mark.slow
@every_kind
@every_profile
@pytest.mark.parametrize("method", ["direct", "mesh"])
def test_absurd_lines_leave_flux_and_gradients_finite(torch, profile, transmission, method):
    wavelength = np.linspace(5000.0, 5012.0, 301)
    for lines in ABSURD_LINES:
        leaves = [torch.tensor([one, -2.0], dtype=torch.float64) for one in lines]
        leaves[0][1] = 5003.0
        leaves = [leaf.requires_grad_() for leaf in leaves]
        flux = render_flux(
            wavelength, *leaves, profile=profile, transmission=transmission, method=method
        )
        flux.sum().backward()
        assert bool(((flux >= 0.0) & (flux <= 1.0)).all())
        assert all(bool(torch.isfinite(leaf.grad).all()) for leaf in leaves)


def test_the_papers_mark_of_a_missing_line_is_no_line():
    wavelength = np.linspace(5000.0, 5012.0, 301)
    missing, line = [-1000.0] * 4, [5006.0, -2.0, -2.0, -2.0]
    for method in ("direct", "mesh"):
        both = render_flux(wavelength, *np.transpose([missing, line]), method=method)
        alone = render_flux(wavelength, *np.transpose([line]), method=method)
        np.testing.assert_allclose(both, alone, rtol=1e-12)


@pytest.mark.parametrize("method", ["auto", "direct", "mesh"])
def test_types_precision_and_rows(method):
    wavelength = np.linspace(5000.0, 5100.0, 700)
    lines = make_lines(30, 5000.0, 5100.0)
    offsets = np.array([0, 10, 10, 30])
    rows = optical_depth(wavelength, *lines, method=method, offsets=offsets)
    assert rows.dtype == np.float64
    assert rows.shape == (3, 700)
    for row, (a, b) in zip(rows, [(0, 10), (10, 10), (10, 30)], strict=True):
        single = optical_depth(wavelength, *(v[a:b] for v in lines), method=method)
        np.testing.assert_array_equal(row, single)
    assert (rows[1] == 0.0).all()
    # Centres in single precision would move lines by 2e-4 Å: the rest decides the precision.
    narrow = [lines[0], *(v.astype(np.float32) for v in lines[1:])]
    single = optical_depth(wavelength, *narrow, method=method)
    assert single.dtype == np.float32
    assert relative_error(single, optical_depth(wavelength, *lines, method=method)) < 1e-5
    # As FITS files hold them, and as no one may write to them.
    foreign = [v.astype(v.dtype.newbyteorder(">")) for v in narrow]
    wavelength.flags.writeable = False
    np.testing.assert_array_equal(optical_depth(wavelength, *foreign, method=method), single)


@pytest.mark.parametrize("method", ["auto", "direct", "mesh"])
def test_tensors_precision_and_rows(torch, method):
    wavelength = np.linspace(5000.0, 5100.0, 700)
    lines = make_lines(30, 5000.0, 5100.0)
    offsets = np.array([0, 10, 10, 30])
    expected = optical_depth(wavelength, *lines, method=method, offsets=offsets)
    tensors = [torch.tensor(v, requires_grad=True) for v in lines]
    ragged = optical_depth(wavelength, *tensors, method=method, offsets=torch.tensor(offsets))
    assert isinstance(ragged, torch.Tensor)
    assert ragged.dtype == torch.float64
    np.testing.assert_allclose(ragged.detach(), expected, rtol=1e-12)
    (gradient,) = torch.autograd.grad(ragged[0].sum(), tensors[1])
    assert (gradient[:10] != 0.0).all()
    assert (gradient[10:] == 0.0).all()
    # One tensor is enough; the others may be arrays.
    mixed = optical_depth(
        wavelength, lines[0], *(v.detach() for v in tensors[1:]), method=method, offsets=offsets
    )
    np.testing.assert_array_equal(mixed, ragged.detach())
    single = optical_depth(
        torch.tensor(wavelength), lines[0], *(v.float() for v in tensors[1:]), method=method
    )
    assert single.dtype == torch.float32
    whole = optical_depth(wavelength, *lines, method=method)
    assert relative_error(single.detach().numpy(), whole) < 1e-5


def test_one_pixel_no_pixel_and_no_lines():
    lines = make_lines(5, 5000.0, 5001.0)
    assert optical_depth([], *lines).shape == (0,)
    expected = optical_depth([5000.0, 5000.5], *lines, method="direct")
    np.testing.assert_allclose(optical_depth([5000.0], *lines), expected[:1])
    for method in ("auto", "direct", "mesh"):
        nothing = optical_depth([5000.0, 5000.5], *([[]] * 4), method=method)
        np.testing.assert_array_equal(nothing, [0.0, 0.0])
    assert optical_depth([5000.0, 5001.0], *([[]] * 4), offsets=[0]).shape == (0, 2)


ONE_LINE = {
    "wavelength": [5000.0, 5001.0],
    "center": [5000.0],
    "log_area": [0.0],
    "log_sigma": [0.0],
    "log_gamma": [0.0],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "sinc"}, "profile must be one of .*got 'sinc'"),
        ({"transmission": "sum"}, "transmission must be one of .*got 'sum'"),
        ({"method": "fast"}, "method must be one of .*got 'fast'"),
        ({"wing_cut": 0.5}, "wing_cut must be a whole number of pixels"),
        ({"wing_cut": 100, "method": "mesh"}, "exclude each other"),
        ({"center": [5000.0, 5001.0]}, r"log_area must have shape \(2,\) as center has"),
        ({"center": [[5000.0]]}, r"center must be one-dimensional, \(n_lines,\)"),
        ({"log_gamma": [np.nan]}, "log_gamma must be finite, but element 0 is nan"),
        ({"log_gamma": ["a"]}, "log_gamma must hold real numbers"),
        ({"offsets": [0, 2]}, "offsets must rise from 0 to the number of lines, 1"),
        ({"offsets": [0.0, 1.0]}, "offsets must be a one-dimensional array of whole numbers"),
        ({"wavelength": [2.0, 1.0]}, "wavelength must be strictly increasing"),
        ({"wavelength": [1.0], "method": "mesh"}, "at least two pixels, got 1"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        optical_depth(**ONE_LINE | change)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log_sigma", [np.inf], "log_sigma must be finite, but element 0 is inf"),
        ("log_gamma", [[0.0]], r"log_gamma must be one-dimensional, .* got shape \(1, 1\)"),
        ("center", [5000.0, 5001.0], r"log_area must have shape \(2,\) as center has"),
    ],
)
def test_wrong_tensors_are_refused(torch, name, value, message):
    with pytest.raises(ValueError, match=message):
        optical_depth(**ONE_LINE | {name: torch.tensor(value)})
    wavelength = torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="wavelength must not require a gradient"):
        optical_depth(**ONE_LINE | {"wavelength": wavelength})


def test_lines_wider_than_a_window_are_cut_as_documented():
    wavelength = np.arange(5000.0, 5010.0, 0.01)
    depth = optical_depth(wavelength, [5005.004], [0.0], [-1.0], [-1.0], wing_cut=100)
    reached = np.flatnonzero(depth)
    # The window starts 50 pixels before the centre, and leaves out its last but one.
    np.testing.assert_array_equal(reached, [*range(451, 550), 551])
    np.testing.assert_allclose(
        depth[reached], pseudo_voigt(wavelength[reached] - 5005.004, np.exp(-1.0), np.exp(-1.0))
    )
    whole = optical_depth(wavelength, [5005.004], [0.0], [-1.0], [-1.0], wing_cut=5000)
    assert (whole > 0.0).all()


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("wing_cut", [1000, 6000])
def test_published_spectrum_of_blase(torch, shared_data, wing_cut):
    table = read_state_dicts(shared_data / "blase_T4700g4p5.pt")
    with np.load(shared_data / "blase_T4700g4p5_flux.npz") as file:
        wavelength, expected = file["wavelength"], file[f"flux_wing{wing_cut}"]
    lines = [table.center, table.log_area, table.log_sigma, table.log_gamma]
    options = {"profile": "blase", "transmission": "product", "wing_cut": wing_cut}
    flux = render_flux(wavelength, *lines, **options)
    assert np.abs(flux - expected).max() <= TOLERANCE
    part = slice(100_000, 120_000)
    direct = optical_depth(wavelength[part], *lines, **options, method="direct")
    windows = optical_depth(wavelength[part], *lines, **options)
    assert relative_error(windows, direct) < 1e-8


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_lines_without_a_cut(torch, shared_data):
    table = read_state_dicts(shared_data / "blase_T4700g4p5.pt")
    with np.load(shared_data / "blase_T4700g4p5_flux.npz") as file:
        wavelength = file["wavelength"]
    # Every 67th pixel keeps the plain sum cheap; the mesh sees all of them.
    lines = [table.center, table.log_area, table.log_sigma, table.log_gamma]
    for transmission in TRANSMISSIONS:
        mesh = optical_depth(wavelength, *lines, transmission=transmission)
        direct = optical_depth(
            wavelength[::67], *lines, transmission=transmission, method="direct"
        )
        assert relative_error(mesh[::67], direct) < 1e-7


@every_kind
@every_profile
def test_gpu_equals_cpu(torch, profile, transmission):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
    wavelength = np.linspace(8000.0, 8200.0, 5000)
    lines = make_lines(200, 8000.0, 8200.0, spread=2.0)
    results = []
    for device in ("cpu", "cuda"):
        leaves = [torch.tensor(v, device=device, requires_grad=True) for v in lines]
        flux = render_flux(
            wavelength, *leaves, profile=profile, transmission=transmission, method="mesh"
        )
        assert flux.device.type == device
        flux.square().sum().backward()
        results.append([flux.detach().cpu().numpy(), *(v.grad.cpu().numpy() for v in leaves)])
    for cpu, gpu in zip(*results, strict=True):
        assert relative_error(gpu, cpu) < 2e-9


def test_devices(torch, monkeypatch):
    check_device("cpu")
    check_device("meta")
    with pytest.raises(ValueError, match=r"device must name a torch device .* got 'abacus'"):
        check_device("abacus")
    values = np.arange(3.0)
    assert send(values, "cpu") is values
    assert fetch(values) is values
    assert send(values, "meta").device.type == "meta"
    np.testing.assert_array_equal(fetch(torch.tensor(values, requires_grad=True)), values)
    monkeypatch.setitem(sys.modules, "torch", None)
    check_device("cpu")
    assert send(values, "cpu") is values
    for function in (check_device, partial(send, values)):
        with pytest.raises(ImportError, match=r"device='cuda' needs torch, .*'skphx\[torch\]'"):
            function("cuda")


# Everything that sums lines on the CPU; written to a file, because numbers must be compared.
SUMS = """
import sys
if sys.argv[1] == "without":
    sys.modules["torch"] = None
import numpy as np
from skphx.lines import LineTable, optical_depth
from skphx.lines._dense import render_dense, render_dense_jvp
from skphx.lines._joint import fit_window
from skphx.lines._least_squares import fit_levenberg_marquardt, line_parts
from skphx.lines._render import render_jvp
from skphx.lines._windows import depth_of

rng = np.random.default_rng(0)
wavelength = np.linspace(5000.0, 5020.0, 1200)
lines = np.column_stack([np.linspace(5001.0, 5019.0, 30), *rng.normal(-2.5, 0.3, (3, 30))])
several = np.array([lines, lines + 0.01])
tangents = rng.normal(size=(2, 2, 30, 4))
out = {}
for profile in ("pseudo-voigt", "voigt", "blase"):
    for transmission in ("exponential", "product"):
        for number, options in enumerate(
            [{}, {"method": "mesh"}, {"method": "direct"}, {"wing_cut": 100}]
        ):
            name = f"{profile} {transmission} {number}"
            options |= {"profile": profile, "transmission": transmission}
            out[name] = optical_depth(wavelength, *lines.T, **options)
            moves = tangents[:, 0].transpose(0, 2, 1)
            out[name + " jvp"] = render_jvp(wavelength, *lines.T, moves, **options)[1]
table = LineTable.from_dense(several)
out["table"] = table.render(wavelength)
out["dense"] = render_dense(wavelength, several)
out["slopes"] = render_dense_jvp(wavelength, several, tangents)[1]
out["depths"] = depth_of(wavelength, several, device="cpu")
out["chain"] = line_parts(lines, "voigt")[1]
flux = out["table"]
out["fit"] = fit_levenberg_marquardt(wavelength, flux[0], several[1])[0]
basis, penalty = np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([0.0, 0.01])
start = several + np.array([0.01, 0.1, 0.1, -0.1])
out["joint"] = fit_window(wavelength, flux, start, np.zeros_like(flux), basis, penalty)[0]
np.savez(sys.argv[2], torch=bool(sys.modules.get("torch")), **out)
"""


def test_the_cpu_needs_no_torch(tmp_path):
    results = []
    for case in ("without", "with"):
        file = tmp_path / f"{case}.npz"
        command = [sys.executable, "-W", "error", "-c", SUMS, case, str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(np.load(file))
    without, installed = results
    # Also where torch could be imported, arrays do not import it.
    assert not without["torch"]
    assert not installed["torch"]
    assert len(without.files) > 50
    for name in without.files:
        np.testing.assert_array_equal(without[name], installed[name], err_msg=name)


@pytest.mark.slow
def test_threads_are_limited_as_the_process_is():
    code = (
        "import numba, sklearn.utils\n"
        "from threadpoolctl import threadpool_limits\n"
        "from skphx.lines._engine.threads import count_threads\n"
        "counts = [count_threads()]\n"
        "with threadpool_limits(1):\n"
        "    counts.append(count_threads())\n"
        "numba.set_num_threads(1)\n"
        "print(*counts, count_threads())"
    )
    for allowed, expected in (("2", "2 1 1"), ("1", "1 1 1"), ("1,4", "1 1 1")):
        environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": allowed}
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.stdout.strip() == expected, result.stderr


def test_import_is_light():
    code = (
        "import sys, skphx.lines; from skphx.lines import LineTable, pseudo_voigt, render_flux; "
        "print([name for name in ('torch', 'numba', 'pandas') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
