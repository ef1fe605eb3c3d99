"""Archives of lines: they survive kills, tell what they hold, and never lie."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from detected import detected_cloner
from sklearn.base import clone

from skphx import LineManifoldRegressor, VoigtCloner
from skphx._atomic_write import TEMPORARY
from skphx.lines import LineArchive, LineTable, _fitting, render_flux

pytestmark = pytest.mark.slow

WAVELENGTH = np.linspace(5000.0, 5010.0, 401)
PARAMETERS = np.array([[t, g, 0.0] for t in (5000.0, 5500.0, 6000.0) for g in (4.0, 4.5)])
# Centre, ln area, ln sigma, ln gamma (Å).
TRUE = np.array(
    [[5002.013, -3.0, -2.8, -3.9], [5005.008, -1.9, -2.5, -3.0], [5007.991, -3.5, -3.0, -3.5]]
)


def make_spectra():
    """Three lines that strengthen along the nodes; the last node has a fourth."""
    spectra = []
    for teff, logg, _ in PARAMETERS:
        lines = TRUE + [0.0, (5500.0 - teff) / 1500.0, 0.0, 0.3 * (logg - 4.0)]
        spectra.append(render_flux(WAVELENGTH, *lines.T))
    spectra[-1] = spectra[-1] * (1 - 0.2 * np.exp(-0.5 * ((WAVELENGTH - 5009.0) / 0.06) ** 2))
    return np.array(spectra)


def grown(archive=None, **settings):
    """One list of lines for all spectra."""
    settings = {"n_seeds": 3, "max_iter": 10, **settings}
    return VoigtCloner(WAVELENGTH, archive=archive, **settings)


def detected(archive=None, **settings):
    """Lines of each spectrum by itself."""
    return detected_cloner(WAVELENGTH, archive=archive, n_epochs=10, **settings)


def with_changes(cloner, **changes):
    """Another cloner with most of its settings."""
    return clone(cloner).set_params(**changes)


def fit_emulator(archive):
    emulator = LineManifoldRegressor(grown(archive), n_passes=2)
    return emulator.fit(PARAMETERS, make_spectra())


def units_of(folder):
    return sorted((folder / "units").iterdir())


@pytest.fixture(scope="module", params=[grown, detected], ids=lambda make: make.__name__)
def make_cloner(request):
    return request.param


@pytest.fixture(scope="module")
def made(make_cloner, tmp_path_factory):
    """Folder of an archive and the lines that its cloner returned."""
    folder = tmp_path_factory.mktemp("made") / "grid"
    cloner = make_cloner(folder)
    return folder, cloner.fit_transform(make_spectra()), cloner


@pytest.fixture
def grid(made, tmp_path):
    """A copy of it that a test may harm."""
    return shutil.copytree(made[0], tmp_path / "grid")


# What an archive holds ---------------------------------------------------------------------


def test_archive_holds_what_the_cloner_returned(made, make_cloner):
    folder, lines, cloner = made
    np.testing.assert_array_equal(lines, make_cloner().fit_transform(make_spectra()))
    table = LineArchive(folder).table()
    assert table == cloner.line_table(make_spectra())
    np.testing.assert_array_equal(table.to_dense(cloner.n_lines_).reshape(6, -1), lines)
    assert LineArchive(folder).table([4, 1]) == table[[4, 1]]
    assert list(LineArchive(folder).table([3]).to_pandas().columns[2:4]) == ["center", "area"]


def test_quality_tells_rms_lines_and_seconds_of_every_node(made):
    folder, lines, cloner = made
    quality = LineArchive(folder).quality()
    assert quality.dtype.names == ("row", "n_lines", "rms", "seconds")
    np.testing.assert_array_equal(quality["row"], np.arange(6))
    np.testing.assert_array_equal(
        quality["n_lines"], np.isfinite(lines.reshape(6, -1, 4)).all(axis=2).sum(axis=1)
    )
    error = np.sqrt(np.mean((cloner.inverse_transform(lines) - make_spectra()) ** 2, axis=1))
    np.testing.assert_allclose(quality["rms"], error, rtol=1e-6)
    assert (quality["seconds"] > 0).all()
    for name in ("row", "n_lines", "rms"):
        np.testing.assert_array_equal(cloner.quality_[name], quality[name])
    np.testing.assert_array_equal(cloner.fit_seconds_, quality["seconds"])
    frame = LineArchive(folder).quality(as_frame=True)
    assert list(frame.columns) == list(quality.dtype.names)
    np.testing.assert_array_equal(frame["rms"], quality["rms"])


def test_rerun_fits_nothing_again(made, make_cloner, no_fits, capsys):
    folder, lines, _ = made
    before = [(file.name, file.stat().st_mtime_ns) for file in units_of(folder)]
    no_fits()
    cloner = make_cloner(folder, verbose=1)
    np.testing.assert_array_equal(cloner.fit_transform(make_spectra()), lines)
    assert [(file.name, file.stat().st_mtime_ns) for file in units_of(folder)] == before
    assert "6 from the archive" in capsys.readouterr().err


def test_archive_of_an_emulator_shows_its_smooth_lines(tmp_path, no_fits):
    emulator = fit_emulator(tmp_path / "grid")
    archive = LineArchive(tmp_path / "grid")
    dense = archive.table().to_dense(emulator.lines_.shape[1])
    np.testing.assert_array_equal(dense, emulator.lines_)
    np.testing.assert_allclose(archive.quality()["rms"], emulator.line_rms_, rtol=1e-6)
    np.testing.assert_array_equal(emulator.cloner_.quality_["rms"], archive.quality()["rms"])
    # Cloning the same spectra once more does not take their place.
    emulator.cloner_.transform(make_spectra())
    np.testing.assert_array_equal(archive.table().to_dense(dense.shape[1]), dense)
    no_fits()
    np.testing.assert_array_equal(fit_emulator(tmp_path / "grid").lines_, dense)


def test_transform_goes_on_with_the_spectra_of_fit_and_stores_no_others(tmp_path, make_cloner):
    folder = tmp_path / "grid"
    spectra = make_spectra()
    cloner = make_cloner(folder).fit(spectra)
    lines = cloner.transform(spectra)
    table = LineArchive(folder).table()
    np.testing.assert_array_equal(table.to_dense(cloner.n_lines_).reshape(6, -1), lines)
    stored = units_of(folder)
    np.testing.assert_array_equal(cloner.transform(spectra[[3]]), lines[[3]])
    assert units_of(folder) == stored


def test_archive_takes_over_what_the_memory_knows(tmp_path, make_cloner, no_fits):
    memory = str(tmp_path / "memory")
    lines = make_cloner(memory=memory).fit_transform(make_spectra())
    no_fits()
    archived = make_cloner(tmp_path / "grid", memory=memory).fit_transform(make_spectra())
    np.testing.assert_array_equal(archived, lines)
    assert LineArchive(tmp_path / "grid").done.all()


def test_archive_does_not_depend_on_n_jobs(made, make_cloner, tmp_path):
    with joblib.parallel_config(backend="threading"):
        make_cloner(tmp_path / "grid", n_jobs=3).fit_transform(make_spectra())
    names = [[file.name for file in units_of(folder)] for folder in (made[0], tmp_path / "grid")]
    assert names[0] == names[1]
    assert LineArchive(tmp_path / "grid").table() == LineArchive(made[0]).table()


# Killed --------------------------------------------------------------------------------------


def fit_until_killed(folder, n_writes, when):
    """Fit, and die of SIGKILL before, or after, the n-th file is in its place."""
    replace, n_replaced = os.replace, 0

    def replace_and_die(source, target):
        nonlocal n_replaced
        n_replaced += 1
        if n_replaced == n_writes and when == "half written":
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if n_replaced == n_writes:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_and_die
    torch.set_num_threads(2)
    fit_emulator(folder)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows lacks")
def test_killed_run_continues_to_the_identical_result(tmp_path):
    expected = fit_emulator(tmp_path / "undisturbed")
    folder = tmp_path / "killed"
    # While the list grows, within the first pass over the nodes, and within the second.
    moments = [(5, "half written"), (7, "placed"), (6, "half written")]
    context = multiprocessing.get_context("spawn")
    kept = {}
    for n_writes, when in moments:
        process = context.Process(target=fit_until_killed, args=(folder, n_writes, when))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        half_written = [file for file in folder.rglob(f"*{TEMPORARY}")]
        assert len(half_written) == (when == "half written")
        finished = {file: file.stat().st_mtime_ns for file in folder.glob("units/*.npz")}
        assert kept.items() <= finished.items()
        kept = finished
    assert 0 < len(kept) < len(units_of(tmp_path / "undisturbed"))
    emulator = fit_emulator(folder)
    finished = {file: file.stat().st_mtime_ns for file in units_of(folder)}
    assert kept.items() <= finished.items()
    np.testing.assert_array_equal(emulator.lines_, expected.lines_)
    np.testing.assert_array_equal(
        emulator.flux_.low_rank_.components, expected.flux_.low_rank_.components
    )
    np.testing.assert_array_equal(emulator.manifold_.coefficients, expected.manifold_.coefficients)
    assert [file.name for file in finished] == [
        file.name for file in units_of(tmp_path / "undisturbed")
    ]
    assert LineArchive(folder).table() == LineArchive(tmp_path / "undisturbed").table()


def test_unfinished_archive_tells_what_is_done(grid, made):
    archive = LineArchive(grid)
    archive._unit(archive._keys()[2]).unlink()
    np.testing.assert_array_equal(archive.done, [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(archive.quality()["row"], [0, 1, 3, 4, 5])
    with pytest.raises(ValueError, match=r"1 of 6 nodes are not fitted yet .* row 2; run the"):
        archive.table()
    archive._forget_passes()
    with pytest.raises(ValueError, match="no pass over all nodes has begun"):
        archive.table()


# Foreign, damaged ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"prominence": 0.01},
            r"cannot be continued: it was made with prominence=0.005, now 0.01",
        ),
        ({"target_rms": None}, r"target_rms=0.002, now None"),
        ({"wavelength": WAVELENGTH + 0.1}, "it was made on other wavelengths"),
    ],
)
def test_other_settings_are_refused(made, change, message):
    folder, _, cloner = made
    before = units_of(folder)
    other = with_changes(cloner, **change)
    spectra = make_spectra()
    with pytest.raises(ValueError, match=message):
        other.fit(spectra)
    assert units_of(folder) == before


def test_other_spectra_are_refused(made):
    folder, _, cloner = made
    before = units_of(folder)
    spectra = make_spectra()
    again = clone(cloner)
    with pytest.raises(ValueError, match=r"made of 6 spectra, now there are 5.*set memory"):
        again.fit(spectra[:5])
    spectra[3, 200] += 1e-15
    with pytest.raises(ValueError, match="spectrum 3 differs from the one that it was made of"):
        again.fit(spectra)
    assert units_of(folder) == before


def test_equal_numbers_are_equal_settings(made, no_fits):
    cloner = with_changes(made[2], prominence=np.float64(0.005))
    if "edge" in cloner.get_params():
        cloner.set_params(edge=0)
    no_fits()
    np.testing.assert_array_equal(cloner.fit_transform(make_spectra()), made[1])


def test_archive_must_be_a_path(tmp_path):
    with pytest.raises(TypeError, match="archive must be the path of a folder or None, got int"):
        grown(3).fit(make_spectra())
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        LineArchive(tmp_path / "nowhere")


def test_foreign_folders_are_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"no manifest.json, .*found thesis.txt.*empty folder"):
        grown(tmp_path).fit(make_spectra())
    with pytest.raises(ValueError, match=r"not an archive of lines: it has no manifest.json"):
        LineArchive(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "something else"}')
    with pytest.raises(ValueError, match=r"manifest.json was not written by skphx"):
        grown(tmp_path).fit(make_spectra())
    assert {file.name for file in tmp_path.iterdir()} == {"thesis.txt", "manifest.json"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "has version 2 of the format and this skphx reads up to 1; update skphx"),
        ({"skphx": "9.0"}, r"made by skphx 9.0, this is .* must not be mixed"),
        ({"settings": None}, r"manifest.json is damaged \(it lacks settings"),
    ],
)
def test_manifests_of_other_versions(grid, made, change, message):
    manifest = json.loads((grid / "manifest.json").read_text())
    (grid / "manifest.json").write_text(json.dumps(manifest | change))
    cloner, spectra = with_changes(made[2], archive=grid), make_spectra()
    with pytest.raises(ValueError, match=message):
        cloner.fit(spectra)


def test_damaged_manifest_and_nodes(grid, made):
    whole = (grid / "nodes.json").read_text()
    (grid / "nodes.json").write_text(whole[:40])
    with pytest.raises(ValueError, match=r"nodes.json is damaged .*Delete this file and run"):
        LineArchive(grid).table()
    (grid / "nodes.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"nodes.json is damaged \(it is not a list of keys\)"):
        LineArchive(grid).table()
    # The next run writes it anew.
    cloner = with_changes(made[2], archive=grid)
    np.testing.assert_array_equal(cloner.fit_transform(make_spectra()), made[1])
    assert (grid / "nodes.json").read_text() == whole
    (grid / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest.json is damaged .* fit again"):
        cloner.fit(make_spectra())


def test_damaged_fits_are_never_taken_for_good(grid, made):
    archive, spectra = LineArchive(grid), make_spectra()
    key = archive._keys()[1]
    file, expected = archive._unit(key), archive._get(archive._keys()[1])
    whole = file.read_bytes()
    harmed = [whole[:size] for size in (0, 1, 100, len(whole) // 2, len(whole) - 1)]
    harmed += [b"not a zip file" * 20, archive._unit(archive._keys()[4]).read_bytes()]
    cloner = with_changes(made[2], archive=grid)
    for content in harmed:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{key}.npz is damaged .*Delete this file and run"):
            archive.table()
        with pytest.raises(ValueError, match=rf"{key}.npz is damaged"):
            cloner.fit_transform(spectra)
    file.unlink()
    np.testing.assert_array_equal(cloner.fit_transform(spectra), made[1])
    # One wrong byte anywhere is found, or stands where it changes nothing.
    n_found = 0
    for position in range(0, len(whole), 11):
        content = bytearray(whole)
        content[position] ^= 0x10
        file.write_bytes(content)
        try:
            fit = archive._get(key)
        except ValueError:
            n_found += 1
            continue
        for name in ("lines", "rms", "seconds"):
            np.testing.assert_array_equal(fit[name], expected[name])
    assert n_found > 50


def test_fits_of_a_wrong_shape_are_refused(grid):
    archive = LineArchive(grid)
    key = archive._keys()[0]
    good = archive._get(key)
    for wrong in (good["lines"][:, :3], good["lines"] * np.nan):
        archive._put(key, good | {"lines": wrong})
        with pytest.raises(ValueError, match="its lines are not finite"):
            archive.table()
    archive._put(key, {"lines": good["lines"]})
    with pytest.raises(ValueError, match=r"it lacks .*'rms', 'seconds'"):
        archive._get(key)


def test_nothing_is_unpickled(grid):
    archive = LineArchive(grid)
    key = archive._keys()[0]
    archive._put(key, archive._get(key) | {"rms": np.array([os.system], dtype=object)})
    with pytest.raises(ValueError, match=r"is damaged .*allow_pickle"):
        archive._get(key)


def test_leftovers_of_a_killed_run_are_removed(grid, made):
    for folder in (grid, grid / "units"):
        (folder / f"half.npz.123{TEMPORARY}").write_bytes(b"half")
    assert LineArchive(grid).table() == LineArchive(made[0]).table()
    with_changes(made[2], archive=grid).fit(make_spectra())
    assert list(grid.rglob(f"*{TEMPORARY}")) == []
    # Killed within the very first file.
    young = grid.parent / "young"
    young.mkdir()
    (young / f"manifest.json.123{TEMPORARY}").write_bytes(b"{")
    with_changes(made[2], archive=young).fit(make_spectra())
    assert list(young.rglob(f"*{TEMPORARY}")) == []


def test_failing_fits_leave_no_trace_and_name_their_spectrum(tmp_path, monkeypatch):
    real = _fitting.fit_levenberg_marquardt
    third = make_spectra()[3]

    def fail_on_one(wavelength, flux, start, **settings):
        lines, rms = real(wavelength, flux, start, **settings)
        return (lines * np.nan if np.array_equal(flux, third) else lines), rms

    monkeypatch.setattr(_fitting, "fit_levenberg_marquardt", fail_on_one)
    cloner, spectra = detected(tmp_path / "grid"), make_spectra()
    with pytest.raises(RuntimeError, match="not finite") as caught:
        cloner.fit(spectra)
    assert "spectrum 3" in caught.value.__notes__[0]
    np.testing.assert_array_equal(LineArchive(tmp_path / "grid").done, [1, 1, 1, 0, 0, 0])
    # What is there can be looked at, but which lines are the same is known of all nodes only.
    assert (LineArchive(tmp_path / "grid").table([0, 1, 2]).identity == -1).all()
    monkeypatch.undo()
    cloner.fit(spectra)
    assert LineArchive(tmp_path / "grid").table().identity.min() == 0


# Lines that were fitted elsewhere --------------------------------------------------------------


def test_a_table_becomes_an_archive(made, tmp_path):
    before = LineArchive(made[0]).table()
    imported = LineArchive.from_table(tmp_path / "imported", before)
    assert imported.table() == LineArchive(tmp_path / "imported").table() == before
    assert imported.done.all()
    quality = imported.quality()
    np.testing.assert_array_equal(quality["n_lines"], np.diff(before.offsets))
    assert np.isnan(quality["rms"]).all()
    assert np.isnan(quality["seconds"]).all()
    # Spectra that are the same, and such without lines, keep their places.
    twice = LineTable.concatenate([before[[0, 0]], LineTable([0, 0], *[[]] * 4), before[[1]]])
    assert LineArchive.from_table(tmp_path / "twice", twice).table() == twice


def test_imports_are_no_start_for_a_cloner_and_no_overwriting(made, tmp_path):
    table = LineArchive(made[0]).table()
    LineArchive.from_table(tmp_path / "imported", table)
    cloner, spectra = with_changes(made[2], archive=tmp_path / "imported"), make_spectra()
    with pytest.raises(ValueError, match="imported cannot be continued"):
        cloner.fit(spectra)
    with pytest.raises(ValueError, match="path must be an empty folder or a new one"):
        LineArchive.from_table(tmp_path / "imported", table[:2])
    assert LineArchive(tmp_path / "imported").table() == table


def test_reading_an_archive_loads_no_torch(made):
    code = (
        "import sys; from skphx.lines import LineArchive; "
        f"LineArchive({str(made[0])!r}).table(); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
