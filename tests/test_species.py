"""Line lists of VALD, and the names that fitted lines get from them."""

import gzip

import numpy as np
import pytest

from skphx import VoigtCloner
from skphx.species import LineList, identify_lines, read_vald

# Lines that everybody finds in Gaia's RVS window: wavelength in air (Å), excitation (eV),
# log gf, depth in the Sun.
KNOWN = [
    ("Fe", 1, 8468.407, 2.223, -2.07, 0.55),
    ("Ca", 2, 8498.023, 1.692, -1.416, 0.85),
    ("Ti", 1, 8498.060, 3.100, -2.500, 0.01),
    ("Fe", 1, 8514.072, 2.198, -2.23, 0.50),
    ("Si", 1, 8556.777, 5.871, -0.15, 0.30),
    ("Ca", 2, 8542.091, 1.700, -0.463, 0.90),
    ("Fe", 1, 8688.625, 2.176, -1.21, 0.60),
    ("Ca", 2, 8662.141, 1.692, -0.723, 0.88),
    ("TiO", 1, 8700.000, 0.100, -1.00, 0.02),
]


def vald_text(layout="short", depths=True, medium="air", unit="A", energy="eV", damping=None):
    """The known lines as VALD sends them; `damping` is radiative and van der Waals of each."""
    per_unit = {"A": 1.0, "nm": 0.1}[unit]
    per_ev = {"eV": 1.0, "cm-1": 8065.543937}[energy]
    count = f" 8450.0, 8710.0, {len(KNOWN)}, 5000, 1.0 Wavelength region, lines selected, Vmicro\n"
    text = count if depths else ""
    if layout == "short":
        vmic, depth = (" Vmic", "  depth") if depths else ("", "")
        text += "                     Lande     Damping parameters\n"
        text += (
            f"Spec Ion   WL_{medium}({unit})  Excit({energy}){vmic} log gf*  Rad.  Stark  Waals  "
        )
        text += f"factor{depth}  Reference\n"
    else:
        depth = "  depth" if depths else ""
        text += "                     Lande factors     Damping parameters\n"
        text += (
            f"Elm Ion   WL_{medium}({unit})  log gf* E_low({energy}) J lo E_up({energy}) J up  "
        )
        text += f"lower  upper  mean  Rad.  Stark  Waals{depth}\n"
    constants = [(8.21, -7.676)] * len(KNOWN) if damping is None else damping
    for known, (radiative, waals) in zip(KNOWN, constants, strict=True):
        element, stage, wavelength, excitation, log_gf, line_depth = known
        place, energy_there = wavelength * per_unit, excitation * per_ev
        widths = f"{radiative:.3f},-5.700,{waals:.3f},"
        end = f" {line_depth:.3f}," if depths else ""
        if layout == "short":
            vmic = " 1.0," if depths else ""
            text += f"'{element} {stage}', {place:.5f}, {energy_there:.4f},{vmic} {log_gf:.3f}, "
            text += f"{widths} 1.070,{end} '   1 wl:K07   1 gf:K07'\n"
        else:
            text += f"'{element} {stage}', {place:.5f}, {log_gf:.3f}, {energy_there:.4f}, 1.5, "
            text += f"{energy_there + per_ev:.4f}, 2.5, 0.8, 1.2, 1.070, {widths}{end}\n"
            text += "'  LS       3p6.3d 2D'\n'  LS       3p6.4p 2P*'\n"
            text += "'T          1 wl:K07   1 gf:K07, 2'\n"
    return text + "* oscillator strengths were scaled\n References:\n  1. K07: 'Fe 1' and others\n"


def write(folder, **options):
    path = folder / "vald.txt"
    path.write_text(vald_text(**options))
    return path


class TestRead:
    @pytest.mark.parametrize("layout", ["short", "long"])
    @pytest.mark.parametrize("depths", [True, False])
    @pytest.mark.parametrize(("unit", "energy"), [("A", "eV"), ("nm", "cm-1")])
    def test_all_formats_say_the_same(self, tmp_path, layout, depths, unit, energy):
        path = write(tmp_path, layout=layout, depths=depths, unit=unit, energy=energy)
        line_list = read_vald(path)
        known = sorted(KNOWN, key=lambda line: line[2])
        assert line_list.medium == "air"
        np.testing.assert_allclose(line_list.wavelength, [k[2] for k in known], atol=1e-4)
        np.testing.assert_allclose(line_list.excitation, [k[3] for k in known], atol=1e-4)
        np.testing.assert_allclose(line_list.log_gf, [k[4] for k in known])
        if depths:
            np.testing.assert_allclose(line_list.depth, [k[5] for k in known])
        else:
            assert np.isnan(line_list.depth).all()
        names = ["Fe I", "Ca II", "Ti I", "Fe I", "Ca II", "Si I", "Ca II", "Fe I", "TiO"]
        assert line_list.species.tolist() == names

    @pytest.mark.parametrize("layout", ["short", "long"])
    @pytest.mark.parametrize("depths", [True, False])
    def test_damping_constants(self, tmp_path, layout, depths):
        """0 is unknown, and values above 1 are a cross-section with its exponent."""
        constants = [(8.0 + 0.1 * row, -7.5 - 0.01 * row) for row in range(len(KNOWN) - 2)]
        constants += [(0.0, 278.255), (8.3, 0.0)]
        path = write(tmp_path, layout=layout, depths=depths, damping=constants)
        line_list = read_vald(path)
        order = np.argsort([line[2] for line in KNOWN])
        radiative, waals = np.array(constants)[order].T
        radiative[radiative == 0], waals[waals == 0] = np.nan, np.nan
        np.testing.assert_allclose(line_list.radiative, radiative)
        np.testing.assert_allclose(line_list.waals, waals)
        assert np.isnan(line_list.radiative).sum() == np.isnan(line_list.waals).sum() == 1
        vacuum = line_list.in_medium("vacuum")
        np.testing.assert_array_equal(vacuum.waals, line_list.waals)
        np.testing.assert_array_equal(vacuum.radiative, line_list.radiative)

    def test_vacuum_and_compression(self, tmp_path):
        path = tmp_path / "list.gz"
        with gzip.open(path, "wt") as file:
            file.write(vald_text(medium="vac"))
        assert read_vald(path).medium == "vacuum"

    def test_a_file_without_header_is_refused(self, tmp_path):
        path = tmp_path / "lines.txt"
        path.write_text("8498.023 Ca II\n")
        with pytest.raises(ValueError, match=r"not a VALD line list.*keep the header"):
            read_vald(path)

    def test_a_row_of_another_format_is_named(self, tmp_path):
        path = write(tmp_path)
        text = path.read_text().replace("8498.02300, 1.6920,", "8498.02300,")
        path.write_text(text)
        with pytest.raises(ValueError, match=r"line 5: expected the numbers of VALD's short"):
            read_vald(path)

    def test_a_list_of_nothing(self, tmp_path):
        path = tmp_path / "vald.txt"
        path.write_text(vald_text().split("'")[0])
        line_list = read_vald(path)
        assert len(line_list) == 0
        assert repr(line_list) == "LineList of no transitions"
        found = identify_lines([8498.0], line_list, medium="vacuum")
        assert not found.identified.any()


class TestIdentify:
    @pytest.fixture
    def line_list(self, tmp_path):
        return read_vald(write(tmp_path))

    def test_the_strongest_in_reach_wins(self, line_list):
        # Nearer to the weak Ti I line than to Ca II.
        found = identify_lines([8498.055], line_list, medium="air")
        assert found.species.tolist() == ["Ca II"]
        assert found.n_candidates.tolist() == [2]
        np.testing.assert_allclose(found.offset, [0.032], atol=1e-6)
        np.testing.assert_allclose(found.share, [0.85 / 0.86])

    def test_without_depths_the_nearest_wins(self, tmp_path):
        line_list = read_vald(write(tmp_path, depths=False))
        found = identify_lines([8498.055], line_list, medium="air")
        assert found.species.tolist() == ["Ti I"]
        assert np.isnan(found.share).all()

    def test_tolerance_and_depth_limit(self, line_list):
        center = [8514.10, 8514.20, 8700.0, 8600.0]
        found = identify_lines(center, line_list, medium="air", min_depth=0.1)
        assert found.species.tolist() == ["Fe I", "", "", ""]
        assert found.transition.tolist()[1:] == [-1, -1, -1]
        assert found.identified.tolist() == [True, False, False, False]
        wide = identify_lines(center, line_list, medium="air", tolerance=0.2)
        assert wide.species.tolist() == ["Fe I", "Fe I", "TiO", ""]

    def test_air_and_vacuum_are_told_apart(self, line_list):
        # Ca II 8542 is at 8544.44 Å in vacuum.
        found = identify_lines([8544.438, 8542.091], line_list, medium="vacuum")
        assert found.species.tolist() == ["Ca II", ""]
        back = line_list.in_medium("vacuum").in_medium("air")
        np.testing.assert_allclose(back.wavelength, line_list.wavelength, atol=1e-6)

    def test_two_transitions_of_one_wavelength_convert(self):
        twice = LineList(
            np.array([8498.0, 8498.0]), np.array(["Fe I", "Ni I"]), np.zeros(2), np.zeros(2),
            np.array([0.1, 0.2]), "air",
        )  # fmt: skip
        vacuum = twice.in_medium("vacuum")
        assert vacuum.wavelength[0] == vacuum.wavelength[1] > 8500.0
        assert vacuum.species.tolist() == ["Fe I", "Ni I"]

    def test_as_a_table(self, line_list):
        table = identify_lines([8498.0, 8600.0], line_list, medium="air").to_pandas()
        assert table["species"].tolist() == ["Ca II", ""]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"center": [np.nan]}, "center must hold finite wavelengths"),
            ({"tolerance": 0.0}, "tolerance must be positive"),
            ({"medium": "water"}, "medium must be 'air' or 'vacuum', got 'water'"),
        ],
    )
    def test_bad_arguments(self, line_list, arguments, message):
        with pytest.raises(ValueError, match=message):
            identify_lines(
                **{"center": [8498.0], "line_list": line_list, "medium": "air"} | arguments
            )

    def test_lists_need_no_damping_constants(self):
        columns = (np.array([8502.0, 8501.0]), np.array(["Fe I", "Ti I"]), *np.zeros((3, 2)))
        bare = LineList(*columns, "air")
        assert np.isnan(bare.radiative).all()
        assert np.isnan(bare.waals).all()
        known = LineList(*columns, "air", waals=np.array([-7.5, 300.2]))
        assert known.species.tolist() == ["Ti I", "Fe I"]
        assert known.waals.tolist() == [300.2, -7.5]
        assert np.isnan(known.radiative).all()

    @pytest.mark.parametrize("name", ["radiative", "waals"])
    def test_damping_constants_must_agree(self, name):
        columns = (np.array([8501.0, 8502.0]), np.array(["Fe I", "Ti I"]), *np.zeros((3, 2)))
        with pytest.raises(ValueError, match=rf"{name} must hold one value for each.*\(2,\), got"):
            LineList(*columns, "air", **{name: np.zeros(3)})

    def test_columns_must_agree(self):
        with pytest.raises(ValueError, match="depth must hold one value for each transition"):
            LineList(np.ones(2), np.array(["a", "b"]), np.ones(2), np.ones(2), np.ones(1), "air")


@pytest.mark.shared_data
def test_lines_of_a_real_spectrum_get_their_names(shared_data, tmp_path):
    data = np.load(shared_data / "atlas9_rvs_grid.npz")
    wavelength = data["wavelength"]
    chosen = (data["teff"] == 5750) & (data["logg"] == 4.5) & (data["feh"] == 0)
    window = (wavelength > 8490) & (wavelength < 8560)
    flux = data["flux_1e4"][chosen][:, window] / 1e4
    cloner = VoigtCloner(wavelength[window], target_rms=None, max_iter=30).fit(flux)
    found = identify_lines(
        cloner.line_centers_, read_vald(write(tmp_path)), medium="air", tolerance=0.06
    )
    assert {"Ca II", "Fe I", "Si I"} <= set(found.species)
    for name, wavelength_in_air in (("Ca II", 8542.091), ("Fe I", 8514.072), ("Si I", 8556.777)):
        near = abs(found.center - wavelength_in_air) < 0.06
        assert name in found.species[near]
    # As vacuum wavelengths, the same centres would be other lines.
    wrong = identify_lines(cloner.line_centers_, read_vald(write(tmp_path)), medium="vacuum")
    assert "Si I" not in wrong.species


class TestBroadLines:
    """Names of broad lines, which the argument `fwhm` gives."""

    # Narrow lines, beside which others are broad.
    NARROW = np.arange(8600.0, 8607.0)

    @pytest.fixture
    def line_list(self):
        rows = [
            (8498.02, "Ca II", 0.85),
            (8499.10, "CN", 0.05),
            (8545.39, "H I", 0.03),
            (8545.70, "Fe I", 0.45),
            (8560.00, "Fe I", 0.30),
            (8560.06, "Ti I", 0.32),
            *((at, "Fe I", 0.2) for at in self.NARROW),
        ]
        wavelength, species, depth = zip(*rows, strict=True)
        zeros = np.zeros(len(rows))
        return LineList(
            np.array(wavelength), np.array(species), zeros, zeros, np.array(depth), "air"
        )

    def named(self, line_list, center, fwhm, **options):
        center = np.append(center, self.NARROW)
        fwhm = np.append(fwhm, np.full(len(self.NARROW), 0.12))
        return identify_lines(center, line_list, medium="air", fwhm=fwhm, **options)

    @pytest.mark.parametrize(
        ("center", "fwhm", "without", "name"),
        [
            (8499.12, 1.50, "CN", "Ca II"),  # a wing of Ca II
            (8499.12, 0.12, "CN", "CN"),  # a narrow line at the same place
            (8545.71, 1.20, "Fe I", "H I"),  # deeper in the list, but not broad
            (8545.71, 0.12, "Fe I", "Fe I"),
            (8545.39, 0.12, "H I", "H I"),
            (8560.01, 1.50, "Ti I", "Ti I"),  # nothing near that makes broad lines
            (8560.01, 0.08, "Ti I", "Fe I"),  # nearer for its width
            (8560.40, 0.30, "", ""),  # beyond half of its width
            (8560.12, 0.30, "", "Ti I"),  # within it
            (8500.20, 4.00, "", ""),  # beyond the limit of 2 Å
            (8499.90, 4.00, "", "Ca II"),
        ],
    )
    def test_width_and_depth_choose(self, line_list, center, fwhm, without, name):
        tolerance = 0.055
        plain = identify_lines([center], line_list, medium="air", tolerance=tolerance)
        assert plain.species.tolist() == [without]
        found = self.named(line_list, center, fwhm, tolerance=tolerance)
        assert found.species[0] == name
        assert (found.species[1:] == "Fe I").all()

    def test_offset_and_share_are_those_of_weighed_depths(self, line_list):
        found = self.named(line_list, 8560.01, 0.08)
        weights = np.array([0.30, 0.32]) * np.exp(-0.5 * np.array([0.01 / 0.04, 0.05 / 0.04]) ** 2)
        assert found.n_candidates[0] == 2
        np.testing.assert_allclose(found.share[0], weights[0] / weights.sum(), rtol=1e-6)
        np.testing.assert_allclose(found.offset[0], 0.01, atol=1e-9)

    def test_hydrogen_is_named_without_any_depths(self, line_list):
        bare = LineList(
            line_list.wavelength, line_list.species, line_list.excitation, line_list.log_gf,
            np.full(len(line_list), np.nan), "air",
        )  # fmt: skip
        found = self.named(bare, [8545.71, 8545.71], [1.2, 0.12], min_depth=0.1)
        assert found.species[:2].tolist() == ["H I", "Fe I"]

    def test_no_lines(self, line_list):
        assert len(identify_lines([], line_list, medium="air", fwhm=[]).species) == 0

    @pytest.mark.parametrize(
        ("fwhm", "message"),
        [
            (0.2, r"fwhm must hold a width in Å for each line, shape \(2,\), got shape \(\)"),
            ([0.2], r"shape \(2,\), got shape \(1,\)"),
            ([0.2, 0.0], "positive widths in Å, but that of line 1 is 0.0"),
            ([np.nan, 0.2], "positive widths in Å, but that of line 0 is nan"),
        ],
    )
    def test_bad_widths(self, line_list, fwhm, message):
        with pytest.raises(ValueError, match=message):
            identify_lines([8498.0, 8545.0], line_list, medium="air", fwhm=fwhm)


@pytest.mark.shared_data
def test_broad_lines_of_a_real_fit_get_their_names(shared_data):
    path = shared_data / "vald_rvs.txt.gz"
    if not path.is_file():
        pytest.skip(f"needs a line list of VALD, and {path} does not exist")
    fitted = [
        (8541.53, 0.66, "Ca II"),
        (8542.00, 4.08, "Ca II"),
        (8598.88, 1.53, "H I"),
        (8545.70, 1.22, "H I"),
        (8467.54, 2.22, "H I"),
        (8688.62, 0.25, "Fe I"),
    ]
    line_list = read_vald(path)
    narrow = np.linspace(8470.0, 8700.0, 20)
    center = np.append([line[0] for line in fitted], [8460.35, *narrow])
    fwhm = np.append([line[1] for line in fitted], [1.07, *np.full(20, 0.11)])
    found = identify_lines(center, line_list, medium="air", fwhm=fwhm)
    assert found.species[: len(fitted)].tolist() == [line[2] for line in fitted]
    assert found.species[len(fitted)] not in ("", "H I", "Ca II")
    # Without widths, a weak line near the centre of a wing gives it its name.
    plain = identify_lines(center, line_list, medium="air")
    assert not {"Ca II", "H I"} & {plain.species[0], *plain.species[2:5]}
