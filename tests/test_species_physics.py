"""The schematic atmosphere, its opacities and its flux, beside formulas and known values."""

import numpy as np
import pytest
from named_star_grids import LINE_LIST, TRUE_LIST, WAVELENGTH, spectra
from numpy.testing import assert_allclose, assert_array_equal
from scipy import constants
from scipy.special import expn, voigt_profile, wofz

from skphx._domain import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from skphx.flux._low_rank import LowRank
from skphx.interpolation import make_grid
from skphx.species import LineList
from skphx.species._anchoring import LineFormation, StarSettings
from skphx.species._atmosphere import BOLTZMANN, LOG_DEPTH, SchematicAtmosphere, h_minus, saha
from skphx.species._elements import DISSOCIATION, ELEMENTS, mass_of, parts_of
from skphx.species._formation import emergent_flux
from skphx.species._growth import clipped_depth, depth_of, growth, log_opacity
from skphx.species._model_pixels import ModelPixels
from skphx.species._opacity import (
    REFERENCE_DEPTH,
    Transitions,
    _hjerting,
    rows_of_species,
    transitions_of,
)
from skphx.species._responses import ElementResponses, ResponseBlock, response_grid

CONTINUUM_DEPTH = int(np.argmin(np.abs(LOG_DEPTH)))
EV = constants.e * 1e7  # erg


@pytest.fixture(scope="module")
def sun():
    return SchematicAtmosphere.of_star(5777.0, 4.44, {})


def thermal_states(temperature):
    """Translational states of a free electron times k T, dyn cm⁻²."""
    mass = constants.m_e * 1e3
    per_volume = (2.0 * np.pi * mass * BOLTZMANN * temperature / (constants.h * 1e7) ** 2) ** 1.5
    return per_volume * BOLTZMANN * temperature


class TestGrowth:
    DEPTH = np.concatenate([np.geomspace(1e-8, 0.5, 30), 1.0 - np.geomspace(0.4, 2e-4, 20)])

    def test_depth_of_is_the_inverse(self):
        assert_allclose(depth_of(log_opacity(self.DEPTH)), self.DEPTH, rtol=1e-6)

    def test_growth_is_the_derivative(self):
        step = 1e-5
        depth = self.DEPTH[5:-3]
        log = log_opacity(depth)
        slope = (depth_of(log + step) - depth_of(log - step)) / (2.0 * step)
        assert_allclose(slope, growth(depth), rtol=1e-4)

    def test_weak_lines_grow_with_their_opacity_and_cores_hardly(self):
        weak, strong = depth_of(log_opacity(np.array([1e-4, 0.95])) + np.log(2.0))
        assert_allclose(weak, 2e-4, rtol=1e-3)
        assert 0.95 < strong < 0.955

    def test_flux_beyond_the_curve(self):
        depth = clipped_depth(np.array([1.3, 1.0, 0.4, 0.0, -0.2]))
        assert (depth > 0).all()
        assert (depth < 1).all()
        assert depth[2] == 0.6
        assert np.isfinite(log_opacity(depth)).all()


class TestIonisation:
    @pytest.mark.parametrize("symbol", ["Na", "Ca", "Fe", "Si"])
    def test_saha_is_that_of_physical_constants(self, sun, symbol):
        element = ELEMENTS[symbol]
        for stage, (lower, upper) in enumerate([element.partition, (1.0, 1.0)]):
            expected = 2.0 * upper / lower * thermal_states(sun.temperature)
            expected *= np.exp(-element.ionisation[stage] * EV / (BOLTZMANN * sun.temperature))
            expected /= sun.electron_pressure
            found = saha(sun.temperature, sun.electron_pressure, element, stage)
            assert_allclose(found, expected, rtol=0.02)

    def test_calcium_is_ionised_in_the_sun_and_silicon_only_in_part(self, sun):
        ratio = {
            symbol: saha(sun.temperature, sun.electron_pressure, ELEMENTS[symbol], 0)
            for symbol in ("Na", "Ca", "Ti", "Fe", "Si")
        }
        assert (ratio["Ca"] > 100.0).all()
        assert ratio["Si"][0] < 1.0
        assert 0.5 < ratio["Si"][REFERENCE_DEPTH] < 5.0
        order = [ratio[symbol][REFERENCE_DEPTH] for symbol in ("Na", "Ca", "Ti", "Fe", "Si")]
        assert order == sorted(order, reverse=True)

    @pytest.mark.parametrize("symbol", ["Ca", "Fe", "Si"])
    def test_stages_add_up_to_the_abundance(self, sun, symbol):
        atom, ion = (
            sun.number(f"{symbol} {stage}") * partition
            for stage, partition in zip(("I", "II"), ELEMENTS[symbol].partition, strict=True)
        )
        total = 10.0 ** (ELEMENTS[symbol].abundance - 12.0)
        assert (atom + ion <= total * (1.0 + 1e-12)).all()
        assert_allclose((atom + ion)[REFERENCE_DEPTH], total, rtol=0.01)

    def test_hot_stars_lose_calcium_ions(self):
        hot = SchematicAtmosphere.of_star(12_000.0, 4.0, {})
        ion = hot.number("Ca II") * ELEMENTS["Ca"].partition[1]
        assert ion[CONTINUUM_DEPTH] < 0.1 * 10.0 ** (ELEMENTS["Ca"].abundance - 12.0)

    def test_an_abundance_changes_its_own_species_in_proportion(self, sun):
        more = sun.abundances | {"Ca": sun.abundances["Ca"] + 0.3}
        assert_allclose(sun.number("Ca II", more) / sun.number("Ca II"), 10.0**0.3)
        assert_array_equal(sun.number("Fe I", more), sun.number("Fe I"))


class TestContinuum:
    @pytest.mark.parametrize("temperature", [5000.0, 6300.0])
    def test_h_minus_is_that_of_detached_electrons(self, temperature):
        """Bound-free cross-section at 8500 Å: 3.95e-17 cm² (Wishart 1979)."""
        pressure = 30.0
        ions = pressure / (4.0 * thermal_states(temperature))
        ions *= np.exp(0.754 * EV / (BOLTZMANN * temperature))
        stimulated = -np.expm1(-1.43878e8 / (8500.0 * temperature))
        bound_free = ions * 3.95e-17 * stimulated
        # Free-free transitions add a few per cent.
        ratio = h_minus(8500.0, temperature, pressure) / bound_free
        assert 0.98 < ratio < 1.2

    def test_h_minus_is_least_where_detachment_ends(self):
        short, least, long = h_minus(np.array([8500.0, 16_300.0, 25_000.0]), 6300.0, 30.0)
        assert least < 0.5 * short
        assert least < 0.7 * long

    def test_opacity_is_proportional_to_electrons(self):
        assert_allclose(h_minus(8500.0, 5500.0, 20.0), 2.0 * h_minus(8500.0, 5500.0, 10.0))

    def test_source_is_the_planck_function(self, sun):
        ratio = sun.source(8500.0)[-1] / sun.source(8500.0)[0]
        exponent = constants.h * constants.c / (8500e-10 * constants.k) / sun.temperature
        assert_allclose(ratio, np.expm1(exponent[0]) / np.expm1(exponent[-1]), rtol=1e-4)


class TestPressure:
    def test_the_sun_at_optical_depth_one(self, sun):
        gas = sun.hydrogen * 1.085 * BOLTZMANN * sun.temperature
        assert abs(sun.temperature[CONTINUUM_DEPTH] - 6400.0) < 150.0
        assert abs(np.log10(gas[CONTINUUM_DEPTH]) - 5.1) < 0.3
        assert abs(np.log10(sun.electron_pressure[CONTINUUM_DEPTH]) - 1.8) < 0.3
        assert (np.diff(gas) > 0).all()
        assert (np.diff(sun.electron_pressure) > 0).all()

    def test_hydrostatic_equilibrium(self, sun):
        """dP/dτ = g/κ, with the mass of a hydrogen nucleus and its share of helium."""
        gas = sun.hydrogen * 1.085 * BOLTZMANN * sun.temperature
        opacity = 0.8 * sun.continuum([8500.0])[0] / (1.4 * constants.u * 1e3)
        expected = 10.0**4.44 / opacity * 10.0**LOG_DEPTH * np.log(10.0)
        found = np.gradient(gas, LOG_DEPTH)
        # Towards the surface the pressure is what lies above the first depth.
        assert_allclose(found[4:-1], expected[4:-1], rtol=0.08)

    def test_gravity_and_metals(self, sun):
        giant = SchematicAtmosphere.of_star(5777.0, 2.44, {})
        power = np.log10(sun.hydrogen / giant.hydrogen)[CONTINUUM_DEPTH] / 2.0
        assert 0.5 < power < 0.75
        metals = dict.fromkeys(set(ELEMENTS) - {"H", "He"}, -1.0)
        poor = SchematicAtmosphere.of_star(5777.0, 4.44, metals)
        assert poor.hydrogen[REFERENCE_DEPTH] > 1.2 * sun.hydrogen[REFERENCE_DEPTH]
        assert (
            poor.electron_pressure[REFERENCE_DEPTH] < 0.7 * sun.electron_pressure[REFERENCE_DEPTH]
        )

    @pytest.mark.parametrize("teff", [2500.0, 4000.0, 8000.0, 15_000.0])
    @pytest.mark.parametrize("logg", [0.0, 5.0])
    def test_any_star_has_finite_positive_numbers(self, teff, logg):
        star = SchematicAtmosphere.of_star(teff, logg, {})
        species = ("H I", "Fe I", "Ca II", *DISSOCIATION)
        for values in (star.electron_pressure, star.hydrogen, star.continuum([8500.0])):
            assert np.isfinite(values).all()
            assert (values > 0).all()
        for one in species:
            numbers = star.number(one)
            assert np.isfinite(numbers).all()
            assert (numbers >= 0).all()


class TestMolecules:
    def change(self, teff, species, **changes):
        """Change of log10 of a molecule's number, (n_depths,)."""
        star = SchematicAtmosphere.of_star(teff, 4.5, {})
        more = dict(star.abundances)
        for symbol, change in changes.items():
            more[symbol] += change
        return np.log10(star.number(species, more) / star.number(species))

    @pytest.mark.parametrize("teff", [2500.0, 3500.0, 4500.0, 6500.0])
    @pytest.mark.parametrize("carbon", [0.0, 0.5])
    def test_carbon_and_oxygen_are_free_or_in_co(self, teff, carbon):
        """Free atoms follow from hydrides, whose formation takes none of them."""
        star = SchematicAtmosphere.of_star(teff, 4.5, {"C": carbon})
        bound = star.number("CO")
        assert (np.abs(np.diff(np.log10(star.number("C2")))) < 3.0).all()
        for element, hydride in (("C", "CH"), ("O", "OH")):
            constant = 10.0 ** np.polynomial.polynomial.polyval(star.theta, DISSOCIATION[hydride])
            hydrogen = star.hydrogen * BOLTZMANN * star.temperature
            free = star.number(hydride) * constant / hydrogen
            share = (free + bound) / 10.0 ** (star.abundances[element] - 12.0)
            # The partition function of molecules is one number.
            assert_allclose(share / share[-1], 1.0, rtol=1e-6)

    def test_oxygen_binds_carbon_in_cool_stars(self):
        high = LOG_DEPTH < 0.0
        cn = self.change(3800.0, "CN", O=0.2)
        assert (cn[high] < -0.25).all()
        assert_allclose(self.change(3800.0, "C2", O=0.2), 2.0 * cn, rtol=1e-6)
        assert (self.change(3800.0, "TiO", O=0.2)[high] > 0.25).all()
        # What CO leaves of carbon grows by more than carbon.
        assert (self.change(3800.0, "CN", C=0.2)[high] > 0.4).all()
        assert (self.change(3800.0, "TiO", C=0.2)[high] < -0.2).all()

    def test_co_is_dissociated_in_hot_layers(self):
        deep = CONTINUUM_DEPTH
        assert abs(self.change(6500.0, "CN", O=0.2)[deep]) < 0.01
        assert_allclose(self.change(6500.0, "CN", C=0.2)[deep], 0.2, atol=0.01)
        assert_allclose(self.change(6500.0, "C2", C=0.2)[deep], 0.4, atol=0.02)
        assert_allclose(self.change(6500.0, "CN", N=0.2)[deep], 0.2, atol=0.01)

    def test_nitrogen_is_bound_too(self):
        assert_allclose(self.change(3500.0, "CN", N=0.2)[0], 0.1, atol=0.02)

    def test_hydrides_and_oxides_grow_with_their_metal(self):
        assert_allclose(self.change(4000.0, "MgH", Mg=0.3), 0.3)
        assert_allclose(self.change(4000.0, "TiO", Ti=-0.3), -0.3)

    def test_unknown_molecules_grow_with_all_their_elements(self):
        star = SchematicAtmosphere.of_star(4000.0, 4.5, {})
        assert "ZrO" not in DISSOCIATION
        assert len(set(star.number("ZrO"))) == 1
        assert_allclose(self.change(4000.0, "ZrO", Zr=0.3, O=0.1), 0.4)

    def test_lines_of_an_unknown_molecule_begin_as_clear_ones(self, sun):
        two = LineList(
            np.array([8500.0, 8501.0]), np.array(["ZrO", "ZrO"]), np.array([0.1, 0.1]),
            np.array([-3.0, -3.7]), np.full(2, np.nan), "air",
        )  # fmt: skip
        core = transitions_in(sun, two).core
        assert_allclose(core, [0.3, 0.3 * 10.0**-0.7], rtol=1e-3)


class TestNames:
    @pytest.mark.parametrize(
        ("species", "elements", "stage", "mass"),
        [
            ("Fe I", ("Fe",), 0, 55.85),
            ("Ca II", ("Ca",), 1, 40.08),
            ("H I", ("H",), 0, 1.008),
            ("TiO", ("Ti", "O"), None, 63.87),
            ("CN", ("C", "N"), None, 26.02),
            ("C2", ("C", "C"), None, 24.02),
            ("H2O", ("H", "H", "O"), None, 18.02),
            ("Fe III", (), None, 50.0),
            ("Xx I", (), None, 50.0),
            ("XxO", (), None, 50.0),
            ("CN +", (), None, 50.0),
            ("", (), None, 50.0),
        ],
    )
    def test_parts_and_mass(self, species, elements, stage, mass):
        assert parts_of(species) == (elements, stage)
        assert_allclose(mass_of(species), mass, atol=0.01)

    def test_rows_of_species_leave_out_what_is_not_known(self):
        names = np.array(["Fe I", "Fe III", "H I", "Xx I", "TiO", "Fe I", "Fe I"])
        wavelength = np.array([8500.0, 8501.0, 8502.0, 8503.0, 8504.0, 8505.0, 8600.0])
        zeros = np.zeros(len(names))
        known = LineList(wavelength, names, zeros, zeros, zeros, "air")
        rows = rows_of_species(known, 8490.0, 8550.0)
        assert {name: one.tolist() for name, one in rows.items()} == {"Fe I": [0, 5], "TiO": [4]}

    def test_table_of_elements(self):
        for element in ELEMENTS.values():
            assert element.ionisation[0] < element.ionisation[1]
            assert min(element.partition) >= 1.0
        abundances = {symbol: element.abundance for symbol, element in ELEMENTS.items()}
        assert sorted(abundances, key=abundances.get)[-4:] == ["C", "O", "He", "H"]


def one_line(waals=np.nan, species="Fe I", log_gf=-2.0, radiative=np.nan, excitation=3.0):
    def column(value):
        return np.array([value])

    return LineList(
        column(8500.0), column(species), column(excitation), column(log_gf), column(np.nan),
        "air", column(radiative), column(waals),
    )  # fmt: skip


def transitions_in(star, line_list, microturbulence=1.5):
    rows = np.arange(len(line_list))
    return transitions_of(
        str(line_list.species[0]),
        line_list,
        rows,
        star,
        middle=8500.0,
        microturbulence=microturbulence,
    )


class TestProfiles:
    def test_voigt_function(self):
        u, a = np.meshgrid(np.linspace(0.0, 8.0, 60), np.geomspace(1e-4, 3.0, 12))
        found = [_hjerting(*pair) for pair in zip(u.ravel(), a.ravel(), strict=True)]
        assert_allclose(found, wofz(u + 1j * a).real.ravel(), atol=5e-6)

    @pytest.mark.parametrize(("damping", "factor"), [(0.01, 1.0), (0.3, 1.0), (0.1, 2.0)])
    def test_opacity_is_a_voigt_profile(self, damping, factor):
        n_depths = len(LOG_DEPTH)
        doppler = np.linspace(0.03, 0.08, n_depths)[None]
        line = Transitions(
            np.array([0]),
            np.array([8500.0]),
            np.full((1, n_depths), 2.0),
            doppler,
            np.full((1, n_depths), damping),
        )
        pixels = 8500.0 + np.linspace(-1.5, 1.5, 301)
        opacity = line.on_pixels(pixels, factor)
        sigma, gamma = doppler / np.sqrt(2.0), doppler * damping * factor
        expected = 2.0 * voigt_profile(pixels[:, None] - 8500.0, sigma, gamma)
        reached = opacity > 0
        assert reached[:, 0].sum() > 30
        assert_allclose(opacity[reached], expected[reached], rtol=1e-3, atol=1e-4)
        # Wings end where their opacity no longer matters.
        assert expected[~reached].max(initial=0.0) < 1e-3

    def test_strength_follows_boltzmann_and_log_gf(self, sun):
        weak, strong = (transitions_in(sun, one_line(log_gf=value)) for value in (-2.0, -1.5))
        assert_allclose(strong.strength / weak.strength, 10.0**0.5)
        low, high = (transitions_in(sun, one_line(excitation=value)) for value in (3.0, 4.0))
        expected = np.exp(-EV / (BOLTZMANN * sun.temperature))[None]
        assert_allclose(high.strength / low.strength, expected, rtol=2e-3)

    def test_doppler_width(self, sun):
        found = transitions_in(sun, one_line(), microturbulence=2.0).doppler[0]
        thermal = 2.0 * constants.k * sun.temperature / (55.85 * constants.u) * 1e-6
        assert_allclose(found, 8500.0 * np.sqrt(4.0 + thermal) / 299_792.458, rtol=1e-4)

    def test_lines_that_are_too_weak_are_left_out(self, sun):
        assert len(transitions_in(sun, one_line(log_gf=-2.0)).rows) == 1
        assert len(transitions_in(sun, one_line(log_gf=-9.0)).rows) == 0


class TestDamping:
    def width(self, star, **settings):
        """Full width of the Lorentzian per hydrogen atom, rad s⁻¹ cm³, without radiation."""
        found = transitions_in(star, one_line(radiative=1.0, **settings))
        half = (found.damping * found.doppler)[0]
        rate = half * 1e-8 * 4.0 * np.pi * 2.99792458e10 / (8500e-8) ** 2
        return (rate - 10.0) / star.hydrogen

    def test_a_cross_section(self, sun):
        """σ = 278 a₀² at 10 km/s, σ ∝ v^−0.255: Anstee & O'Mara (1995), equation 1."""
        mean_mass = constants.u / (1.0 / 55.85 + 1.0 / 1.008)
        speed = np.sqrt(8.0 * constants.k * sun.temperature / (np.pi * mean_mass))
        radius = constants.physical_constants["Bohr radius"][0]
        section = 278.0 * radius**2 * (speed / 1e4) ** -0.255
        # Γ(2 − 0.255/2) = 0.9530.
        expected = 2.0 * (4.0 / np.pi) ** (0.255 / 2.0) * 0.9530 * speed * section * 1e6
        found = self.width(sun, waals=278.255)
        assert_allclose(found, expected, rtol=0.01)
        # The same as logarithms have, about −7.7 at 10,000 K.
        assert -7.9 < np.log10(np.interp(8900.0, sun.temperature, found)) < -7.5
        assert_allclose(
            found / found[0], (sun.temperature / sun.temperature[0]) ** 0.3725, rtol=1e-6
        )

    def test_a_logarithm(self, sun):
        found = self.width(sun, waals=-7.5)
        assert_allclose(found, 10.0**-7.5 * (sun.temperature / 1e4) ** 0.3, rtol=1e-3)

    def test_zero_is_unknown(self, sun):
        zeros = transitions_in(sun, one_line(waals=0.0, radiative=0.0))
        assert_allclose(zeros.damping, transitions_in(sun, one_line()).damping)

    def test_kinds_may_be_mixed(self, sun):
        constants_of_rows = (278.255, -7.5, np.nan, 1200.2)
        alone = [transitions_in(sun, one_line(waals=one)).damping[0] for one in constants_of_rows]
        four = LineList(
            np.full(4, 8500.0), np.repeat("Fe I", 4), np.full(4, 3.0), np.full(4, -2.0),
            np.full(4, np.nan), "air", None, np.array(constants_of_rows),
        )  # fmt: skip
        assert_allclose(transitions_in(sun, four).damping, alone, rtol=1e-12)

    def test_radiation_alone_is_the_natural_width(self, sun):
        found = transitions_in(sun, one_line(waals=-30.0, radiative=8.0))
        half = (found.damping * found.doppler)[0]
        assert_allclose(half, 8500.0**2 * 1e8 / (4.0 * np.pi * 2.99792458e18), rtol=1e-4)


class TestFlux:
    SOURCE = 1.0 + 2.0 * 10.0**LOG_DEPTH

    def opacity(self, *values):
        return np.repeat(np.array(values)[:, None], len(LOG_DEPTH), axis=1)

    def test_no_lines(self, sun):
        assert_allclose(emergent_flux(self.opacity(0.0, 0.0), sun.source(8500.0)), 1.0, rtol=1e-14)

    def test_source_linear_in_optical_depth(self):
        """S = a + b τ gives F = a + (2/3) b/(1 + η): Gray (2005), chapter 7."""
        values = np.array([0.1, 1.0, 10.0, 100.0])
        expected = (1.0 + 4.0 / 3.0 / (1.0 + values)) / (1.0 + 4.0 / 3.0)
        assert_allclose(emergent_flux(self.opacity(*values), self.SOURCE), expected, rtol=0.02)

    def test_more_opacity_is_less_flux(self, sun):
        flux = emergent_flux(self.opacity(*np.geomspace(1e-4, 1e5, 40)), sun.source(8500.0))
        assert (np.diff(flux) < 0).all()
        assert (flux > 0).all()

    def test_weak_lines_are_linear_and_strong_ones_saturate(self, sun):
        one, two = 1.0 - emergent_flux(self.opacity(1e-4, 2e-4), sun.source(8500.0))
        assert_allclose(two / one, 2.0, rtol=1e-3)
        one, two = 1.0 - emergent_flux(self.opacity(100.0, 200.0), sun.source(8500.0))
        assert one < two < 1.1 * one

    @pytest.mark.parametrize("strength", [0.03, 1.0, 30.0, 3e3])
    @pytest.mark.parametrize("power", [-0.4, 0.0, 0.4])
    def test_flux_is_the_integral_over_optical_depth(self, sun, strength, power):
        """F = 2 ∫ S E₂(t) dt, for opacities that change with depth."""
        log = np.linspace(-9.0, 1.0, 4001)
        source = np.interp(log, LOG_DEPTH, sun.source(8500.0))

        def flux(opacity):
            depth = 10.0**log * np.log(10.0) * (1.0 + np.interp(log, LOG_DEPTH, opacity))
            steps = 0.5 * (depth[1:] + depth[:-1]) * np.diff(log)
            optical = np.concatenate([[0.0], np.cumsum(steps)])
            light = 2.0 * np.trapezoid(source * expn(2, optical), optical)
            return light + 2.0 * source[-1] * expn(3, optical[-1])

        opacity = strength * 10.0 ** (power * (LOG_DEPTH + 1.0))
        expected = flux(opacity) / flux(np.zeros(len(opacity)))
        assert_allclose(emergent_flux(opacity[None], sun.source(8500.0))[0], expected, rtol=0.02)


class TestPixels:
    def test_fine_pixels_serve_themselves(self):
        pixels = ModelPixels.of_emulator(WAVELENGTH, None)
        assert pixels.fine is pixels.wavelength
        flux = np.random.default_rng(0).uniform(size=len(WAVELENGTH))
        assert pixels.observe(flux) is flux

    @pytest.mark.parametrize("step", [0.03, 0.1])
    @pytest.mark.parametrize("resolution", [8_000.0, 40_000.0])
    def test_broadening_is_a_convolution(self, step, resolution):
        wavelength = np.arange(8500.0, 8515.0, step)
        pixels = ModelPixels.of_emulator(wavelength, resolution)
        velocity = np.diff(np.log(pixels.fine)) * SPEED_OF_LIGHT
        assert velocity.max() < 1.21
        assert pixels.fine[0] < wavelength[0]
        assert pixels.fine[-1] > wavelength[-1]
        lines = np.array([[8503.0, 0.08, 0.7], [8507.7, 0.15, 0.4], [8500.1, 0.1, 0.5]])

        def flux_at(where):
            shapes = np.exp(-0.5 * ((where[..., None] - lines[:, 0]) / lines[:, 1]) ** 2)
            return 1.0 - shapes @ lines[:, 2]

        offset = np.linspace(-5.0, 5.0, 401)
        weights = np.exp(-0.5 * offset**2)
        sigma = 1.0 / resolution / FWHM_PER_SIGMA
        moved = wavelength[:, None] * np.exp(sigma * offset)
        expected = flux_at(moved) @ weights / weights.sum()
        assert_allclose(pixels.observe(flux_at(pixels.fine)), expected, atol=5e-3)

    def test_coarse_pixels_without_resolution_are_points(self):
        wavelength = np.arange(8500.0, 8515.0, 0.2)
        pixels = ModelPixels.of_emulator(wavelength, None)
        assert len(pixels.fine) > 3 * len(wavelength)
        slope = 1.0 - 0.01 * (pixels.fine - 8500.0)
        assert_allclose(pixels.observe(slope), 1.0 - 0.01 * (wavelength - 8500.0), atol=1e-9)

    def test_thinned_pixels(self):
        some, every = ModelPixels.of_emulator(WAVELENGTH, None).thinned(100)
        assert_array_equal(some.fine, WAVELENGTH[every])
        assert len(some.fine) == 100
        broad = ModelPixels.of_emulator(WAVELENGTH, 20_000.0)
        assert broad.thinned(100)[0] is broad


class TestAnchoring:
    """Factors that make the computed flux that of a star."""

    STAR = StarSettings.of_point({"teff": 5500.0, "logg": 4.5, "feh": -0.2}, 1.3)

    def fitted(self, line_list, smooth=0.0):
        """Fit a line list to the flux of TRUE_LIST, with more opacity at all wavelengths."""
        pixels = ModelPixels.of_emulator(WAVELENGTH, None)
        flux = spectra([[5500.0, 4.5, -0.2]])[0]
        if smooth:
            formation = LineFormation.of_star(self.STAR, pixels, flux, TRUE_LIST)
            formation.smooth = np.full(len(WAVELENGTH), smooth)
            total = sum(formation.opacities().values(), start=formation.smooth_opacity())
            flux = emergent_flux(total, formation.source)
        return LineFormation.of_star(self.STAR, pixels, flux, line_list), flux

    def flux_of(self, formation):
        total = sum(formation.opacities().values(), start=formation.smooth_opacity())
        return formation.pixels.observe(emergent_flux(total, formation.source))

    def test_metals_of_a_point(self):
        star = StarSettings.of_point({"teff": 5500.0, "logg": 4.5, "feh": -0.5, "alpha": 0.3}, 1.3)
        assert star.metals["Fe"] == -0.5
        assert star.metals["Ca"] == pytest.approx(-0.2)
        assert "H" not in star.metals
        assert star.microturbulence == 1.3
        own = StarSettings.of_point({"teff": 5500.0, "logg": 4.5, "vmic": 2.0}, 1.3)
        assert own.microturbulence == 2.0
        assert own.metals["Fe"] == 0.0

    def test_the_list_that_made_the_star_needs_no_factors(self):
        formation, flux = self.fitted(TRUE_LIST)
        assert set(formation.factors) == {"Ca I", "Ca II", "CN", "Fe I", "Si I", "Ti I"}
        assert_allclose(list(formation.factors.values()), 0.0, atol=1e-6)
        assert_allclose(self.flux_of(formation), flux, atol=1e-6)

    def test_a_species_of_other_strength_gets_its_factor(self):
        log_gf = TRUE_LIST.log_gf - 0.3 * (TRUE_LIST.species == "Ti I")
        weaker = LineList(
            TRUE_LIST.wavelength, TRUE_LIST.species, TRUE_LIST.excitation, log_gf,
            TRUE_LIST.depth, "air", TRUE_LIST.radiative, TRUE_LIST.waals,
        )  # fmt: skip
        formation, flux = self.fitted(weaker)
        assert_allclose(formation.factors["Ti I"], 0.3 * np.log(10.0), atol=0.02)
        assert_allclose(formation.factors["Fe I"], 0.0, atol=0.02)
        assert_allclose(self.flux_of(formation), flux, atol=2e-3)

    def test_an_imperfect_list_nearly_fits(self):
        formation, flux = self.fitted(LINE_LIST)
        assert np.sqrt(np.mean((self.flux_of(formation) - flux) ** 2)) < 0.015
        assert np.abs(list(formation.factors.values())).max() < 0.5

    def test_smooth_opacity_is_found(self):
        formation, flux = self.fitted(TRUE_LIST, smooth=0.1)
        assert_allclose(np.median(formation.smooth), 0.1, rtol=0.2)
        assert np.abs(self.flux_of(formation) - flux).mean() < 5e-3


class TestResponseGrid:
    def axes(self, *sizes):
        values = [np.linspace(0.0, 1.0, size) for size in sizes]
        return np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(sizes))

    def test_small_grids_keep_all_nodes(self):
        grid = make_grid(self.axes(4, 4, 8), interpolation="linear")
        assert response_grid(grid, 128) is grid

    @pytest.mark.parametrize("sizes", [(13, 4, 4), (13, 7, 5, 2), (2, 2, 300)])
    def test_large_grids_keep_fewer_values(self, sizes):
        grid = make_grid(self.axes(*sizes), interpolation="linear")
        some = response_grid(grid, 128)
        assert some.n_nodes <= 128
        assert some.n_nodes == np.prod([len(axis) for axis in some.axes])
        assert_array_equal(some.bounds, grid.bounds)
        assert some.parameter_names == grid.parameter_names
        for axis, kept in zip(grid.axes, some.axes, strict=True):
            assert set(kept) <= set(axis)
            assert len(kept) > 1

    def test_grids_with_holes_keep_all_nodes(self):
        nodes = np.delete(self.axes(13, 4, 4), 0, axis=0)
        grid = make_grid(nodes, interpolation="linear", holes="interpolate")
        assert response_grid(grid, 128) is grid


class TestResponsesOnOtherPixels:
    """Three blocks of pixels with responses of two elements, one of them in two blocks only."""

    ENDS = ((8500.0, 8509.5), (8510.0, 8519.5), (8520.0, 8529.5))
    POINTS = np.array([[0.2, 0.9], [0.7, 0.1], [1.0, 1.0]])

    @pytest.fixture
    def responses(self):
        random = np.random.default_rng(4)
        nodes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        blocks = []
        for number, (low, high) in enumerate(self.ENDS):
            wavelength = np.linspace(low, high, 20)
            elements = ("Ca", "Ti") if number < 2 else ("Ca",)
            kept = [
                {one: LowRank.fit(random.uniform(size=(4, 20)), 0.0) for one in elements}
                for _ in range(2)
            ]
            blocks.append(ResponseBlock(wavelength, *kept))
        return ElementResponses(make_grid(nodes), blocks)

    def wavelength(self, responses):
        return np.concatenate([block.wavelength for block in responses.blocks])

    def test_elements(self, responses):
        assert responses.elements == ("Ca", "Ti")
        cut = responses.selected(self.wavelength(responses)[45:])
        assert cut.elements == ("Ca",)

    @pytest.mark.parametrize("part", [slice(None), slice(5, 55), slice(18, 22), slice(20, 21)])
    def test_selected_pixels_have_the_same_responses(self, responses, part):
        cut = responses.selected(self.wavelength(responses)[part])
        before = responses.at(self.POINTS, ("Ti", "Ca", "Ba"))
        assert before.shape == (2, 3, 3, 60)
        assert_allclose(cut.at(self.POINTS, ("Ti", "Ca", "Ba")), before[..., part], atol=1e-12)
        slopes = responses.slopes_at(self.POINTS, ("Ca",))
        assert_allclose(cut.slopes_at(self.POINTS, ("Ca",)), slopes[..., part], atol=1e-12)
        assert (before[:, 2] == 0).all()

    def test_pixels_between(self, responses):
        old = self.wavelength(responses)
        new = np.array([8500.0, 8501.2, 8509.5, 8509.9, 8510.0, 8515.1, 8529.5])
        found = responses.selected(new).at(self.POINTS, ("Ca",))
        before = responses.at(self.POINTS, ("Ca",))
        expected = np.apply_along_axis(lambda one: np.interp(new, old, one), -1, before)
        # Between two blocks it is that of the nearest pixel of the next.
        expected[..., 3] = before[..., 20]
        assert_allclose(found, expected, atol=1e-12)

    def test_outside_the_nodes_responses_are_those_at_the_edge(self, responses):
        inside, outside = np.array([[1.0, 0.3]]), np.array([[1.4, 0.3]])
        assert_array_equal(responses.at(outside, ("Ca",)), responses.at(inside, ("Ca",)))
        slopes = responses.slopes_at(outside, ("Ca",))
        assert (slopes[0] == 0).all()
        assert (slopes[1] != 0).any()
