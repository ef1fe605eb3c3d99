"""Downloads: every bad day ends in a complete, checked data set or in a clear error."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from phoenix_server import HTML, NODES, WAVELENGTH, serve, write_library

from skphx._atomic_write import TEMPORARY, inside, write_atomically
from skphx.datasets import (
    DownloadError,
    GridLayout,
    LocalFileError,
    MissingNodesWarning,
    fetch_grid,
    fetch_phoenix,
    get_data_home,
)
from skphx.datasets._cache import FileCache
from skphx.datasets._download import Attempts, _retry_after, download

pytestmark = pytest.mark.slow

ONE = {"teff": 5000, "logg": 4.0, "feh": 0.0}
FIRST = "lte05000-4.00-0.0."


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    return folder, write_library(folder)


@pytest.fixture
def server(library, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(library[0]) as running:
        yield running


@pytest.fixture
def fetch(server, tmp_path):
    """fetch_phoenix of the small library into a fresh folder, without waiting."""

    def call(**changes):
        settings = {"mirror": server.url, "data_home": tmp_path / "home", "delay": 0.0}
        settings |= {key: (min(values), max(values)) for key, values in NODES.items()}
        return fetch_phoenix(**(settings | {"wavelength": None, "n_retries": 3} | changes))

    return call


def files_below(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if ".locks/" not in name}


def leftovers(folder):
    return [name for name in files_below(folder) if TEMPORARY in name]


def test_whole_grid(fetch, library, tmp_path):
    grid, truth = fetch(), library[1]
    np.testing.assert_array_equal(grid.parameters, truth.parameters)
    np.testing.assert_allclose(grid.spectra, truth.spectra, rtol=1e-7)
    np.testing.assert_array_equal(grid.wavelength, WAVELENGTH)
    assert grid.parameter_names == ("teff", "logg", "feh")
    assert (grid.medium, grid.units["spectra"]) == ("vacuum", "erg / (cm2 s cm)")
    assert grid.missing.shape == (0, 3)
    assert grid.constants == {"alpha": 0.0}
    assert "12 spectra of 1600 pixels" in grid.DESCR
    assert leftovers(tmp_path) == []


def test_only_the_wavelengths_wanted(fetch, library):
    grid, truth = fetch(wavelength=(8500.0, 8510.0)), library[1]
    keep = (WAVELENGTH >= 8500) & (WAVELENGTH <= 8510)
    np.testing.assert_array_equal(grid.wavelength, WAVELENGTH[keep])
    np.testing.assert_allclose(grid.spectra, truth.spectra[:, keep], rtol=1e-7)
    pixels = np.linspace(8500.0, 8510.0, 37)
    other = fetch(wavelength=pixels, dtype=np.float32)
    assert other.spectra.dtype == np.float32
    expected = [np.interp(pixels, WAVELENGTH, flux) for flux in truth.spectra]
    np.testing.assert_allclose(other.spectra, expected, rtol=1e-6)


def test_nothing_is_downloaded_twice(fetch, server):
    first = fetch()
    n_requests = len(server.requests)
    assert n_requests == 13
    second = fetch(download_if_missing=False)
    third = fetch()
    assert len(server.requests) == n_requests
    np.testing.assert_array_equal(first.spectra, second.spectra)
    np.testing.assert_array_equal(first.spectra, third.spectra)
    # A larger range asks for what is new only: here, for nodes that do not exist.
    with pytest.warns(MissingNodesWarning):
        fetch(teff=(5000, 5400))
    assert {path for path, _ in server.requests[n_requests:]} == {
        f"/PHOENIX-ACES-AGSS-COND-2011/Z{z}/lte0{teff}-{logg:.2f}{z}.PHOENIX-ACES-AGSS-COND-2011-"
        f"HiRes.fits"
        for z in ("-0.5", "-0.0")
        for teff in (5300, 5400)
        for logg in (4.0, 4.5)
    }


def test_manifest_holds_the_checksums(fetch, tmp_path):
    import hashlib

    grid = fetch(**ONE)
    folder = tmp_path / "home" / "phoenix"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {
        path for path in files_below(folder) if path.endswith(".fits")
    }
    for relative, entry in manifest["files"].items():
        content = (folder / relative).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
    assert grid.provenance["sha256"] == {
        relative: entry["sha256"] for relative, entry in manifest["files"].items()
    }
    assert grid.provenance["grid"].startswith("PHOENIX-ACES-AGSS-COND-2011")


def test_alpha_is_in_folder_and_name_and_a_column(tmp_path, fetch, server, library):
    other = tmp_path / "alpha"
    write_library(other)
    write_library(other, alpha=0.4)
    server.folder = other
    grid = fetch(alpha=[0.0, 0.4])
    assert grid.parameter_names == ("teff", "logg", "feh", "alpha")
    assert grid.parameters.shape == (24, 4)
    assert server.asked_for("Z-0.5.Alpha=+0.40/lte05000-4.00-0.5.Alpha=+0.40.PHOENIX-")
    assert fetch(alpha=0.4).constants == {"alpha": 0.4}


# The server's bad days


@pytest.mark.parametrize(
    "troubles",
    [
        [503],
        [500, 503, 503],
        ["html"],
        ["zeros"],
        ["short"],
        ["long"],
        ["cut"],
        ["cut", "cut", "cut"],
        ["cut", 503, "cut"],
        ["cut", "no range"],
        ["unannounced"],
        ["html", "cut", "short"],
    ],
    ids=str,
)
def test_trouble_that_passes(fetch, server, library, tmp_path, troubles):
    server.troubles = {FIRST: list(troubles)}
    grid = fetch()
    np.testing.assert_allclose(grid.spectra, library[1].spectra, rtol=1e-7)
    assert server.troubles[FIRST] == []
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("html", "not a FITS file but a web page"),
        ("zeros", "its flux is zero everywhere"),
        ("short", "cut short"),
        ("long", "is not from the file that is now on the server"),
        (503, "the server answered 503"),
        (500, "the server answered 500"),
        ("redirect", "file:///etc/passwd"),
    ],
)
def test_trouble_that_stays(fetch, server, tmp_path, trouble, message):
    server.troubles = {FIRST: [trouble, "always"]}
    with pytest.raises(DownloadError, match="1 of 12 files could not be downloaded") as error:
        fetch(n_retries=1)
    assert message in str(error.value)
    assert FIRST in str(error.value)
    # All others are there, nothing stands in the place of this one, and the next day goes on.
    folder = tmp_path / "home" / "phoenix"
    whole = [path for path in files_below(folder) if path.endswith("HiRes.fits")]
    assert len(whole) == 11
    assert not any(FIRST in path for path in whole)
    server.troubles = {}
    n_requests = len(server.requests)
    assert len(fetch().spectra) == 12
    assert {path for path, _ in server.requests[n_requests:]} == {
        path for path, _ in server.asked_for(FIRST)
    }


def test_cut_connection_goes_on_where_it_stopped(fetch, server, library):
    size = next(library[0].rglob(f"{FIRST}*")).stat().st_size
    server.troubles = {FIRST: ["cut", "cut"]}
    fetch(**ONE)
    assert [span for _, span in server.asked_for(FIRST)] == [
        None,
        f"bytes={size // 2}-",
        f"bytes={size // 2 + (size - size // 2) // 2}-",
    ]


def test_part_of_yesterday_is_finished_today(fetch, server, tmp_path):
    server.troubles = {FIRST: ["cut", "always"]}
    with pytest.raises(DownloadError, match="The part that was received is kept"):
        fetch(**ONE, n_retries=0)
    assert any(name.endswith(TEMPORARY) for name in leftovers(tmp_path))
    server.troubles, server.requests = {}, []
    assert len(fetch(**ONE).spectra) == 1
    assert server.asked_for(FIRST)[0][1].startswith("bytes=")
    assert leftovers(tmp_path) == []


def test_part_of_another_version_is_not_continued(fetch, server, tmp_path):
    other = tmp_path / "library"
    write_library(other)
    server.folder, server.troubles = other, {FIRST: ["cut", "always"]}
    with pytest.raises(DownloadError):
        fetch(**ONE, n_retries=0)
    truth = write_library(other, n_lines=5)  # the library is published anew
    server.troubles = {}
    grid = fetch(**ONE)
    row = (truth.parameters == grid.parameters[0]).all(axis=1)
    np.testing.assert_allclose(grid.spectra, truth.spectra[row], rtol=1e-7)


def test_missing_node_is_reported(fetch, server, library):
    server.troubles = {FIRST: [404, "always"]}
    with pytest.warns(MissingNodesWarning, match=r"1 of 12 nodes.*teff=5000, logg=4, feh=0"):
        grid = fetch()
    assert grid.missing.tolist() == [[5000.0, 4.0, 0.0]]
    assert len(grid.spectra) == 11
    assert "Missing nodes: 1." in grid.DESCR
    with pytest.raises(ValueError, match="1 of 12 nodes are missing"):
        fetch(on_missing="raise")
    # Known from the manifest without asking; asked again the next time the server may be.
    n_requests = len(server.requests)
    offline = fetch(download_if_missing=False, on_missing="ignore")
    assert offline.missing.tolist() == grid.missing.tolist()
    assert len(server.requests) == n_requests
    server.troubles = {}
    assert len(fetch().missing) == 0


def test_wrong_address_of_the_mirror(fetch, server):
    with pytest.raises(DownloadError, match=r"has no WAVE_PHOENIX.*address of the mirror"):
        fetch(mirror=f"{server.url}/HiResFITS")


@pytest.mark.parametrize("trouble", ["html", "short", "zeros"])
def test_trouble_with_the_wavelengths(fetch, server, trouble):
    server.troubles = {"WAVE": [trouble, "cut", 503]}
    assert len(fetch(**ONE).spectra) == 1
    server.troubles = {"WAVE": [trouble, "always"]}
    with pytest.raises(DownloadError, match=r"WAVE_PHOENIX.*could not be downloaded.*damaged"):
        fetch(**ONE, data_home=server.folder.parent / f"other-{trouble}", n_retries=1)
    assert len(server.asked_for("lte")) == 1


def test_alpha_that_is_nowhere_is_a_column_all_the_same(fetch):
    with pytest.warns(MissingNodesWarning, match="teff=5000, logg=4, feh=0, alpha=0.4"):
        grid = fetch(**ONE, alpha=[0.0, 0.4])
    assert grid.parameters.tolist() == [[5000.0, 4.0, 0.0, 0.0]]
    assert grid.missing.tolist() == [[5000.0, 4.0, 0.0, 0.4]]


def test_server_without_any_node(fetch, server):
    server.troubles = {"lte": [404, "always"]}
    with pytest.raises(ValueError, match="has none of the 12 requested nodes"):
        fetch()


def test_no_server(fetch):
    with pytest.raises(DownloadError, match=r"2 attempts: .*URLError: .*refused"):
        fetch(mirror="http://127.0.0.1:9", n_retries=1)


def test_second_mirror_stands_in(fetch, server, library):
    server.troubles = {FIRST: ["html", "html", 404]}
    with serve(library[0]) as second:
        grid = fetch(mirror=[server.url, second.url], n_retries=1)
        assert len(grid.spectra) == 12
        assert len(second.asked_for(FIRST)) == 1
        assert len(second.requests) == 1


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("ftp://127.0.0.1/x", "must be an http or https address"),
        ("file:///etc", "must be an http or https address"),
        ("/some/folder", "must be an http or https address"),
        ("http://me:secret@127.0.0.1/x", "holds a user name or a password"),
    ],
)
def test_addresses_that_are_refused(fetch, mirror, message):
    with pytest.raises(ValueError, match=message) as error:
        fetch(mirror=mirror)
    assert "secret" not in str(error.value)


def test_file_far_too_large_is_refused(server, tmp_path):
    name = next(path for path in server.folder.rglob(f"{FIRST}*"))
    url = f"{server.url}/{name.relative_to(server.folder).as_posix()}"
    for trouble in ([], ["unannounced"]):
        server.troubles = {FIRST: trouble}
        with pytest.raises(DownloadError, match="more than 1000, the most"):
            download(url, tmp_path / "x", lambda path: None, attempts=Attempts(max_bytes=1000))
        assert not (tmp_path / "x").exists()


def test_waits_are_doubled_and_follow_the_server(fetch, server, monkeypatch):
    waited = []
    monkeypatch.setattr("skphx.datasets._download._sleep", lambda s, stop: waited.append(s))
    monkeypatch.setattr("skphx.datasets._download._retry_after", lambda headers: 3.0)
    server.troubles = {FIRST: [503, 503, 503]}
    fetch(**ONE, delay=2.0)
    assert waited == [3.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("soon", 0.0), (None, 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_what_the_server_asks_to_wait(header, seconds):
    assert _retry_after({} if header is None else {"Retry-After": header}) == seconds


# This machine's bad days


def test_corrupt_cached_file_is_replaced(fetch, server, library, tmp_path):
    fetch()
    path = next((tmp_path / "home").rglob(f"{FIRST}*.fits"))
    good = path.read_bytes()
    for damage in (good[:-2880] + bytes(2880), good[:100], b"", HTML):
        path.write_bytes(damage)
        with pytest.raises(DownloadError, match=r"lte05000.*damaged.*download_if_missing=False"):
            fetch(download_if_missing=False)
        server.requests = []
        grid = fetch()
        np.testing.assert_allclose(grid.spectra, library[1].spectra, rtol=1e-7)
        assert len(server.requests) == 1
        assert path.read_bytes() == good


def test_file_put_there_by_hand_is_checked_and_used(fetch, server, library, tmp_path):
    fetch(**ONE)
    path = next((tmp_path / "home").rglob(f"{FIRST}*.fits"))
    target = path.with_name(path.name.replace("05000", "05100"))
    (library[0] / target.relative_to(tmp_path / "home" / "phoenix")).read_bytes()
    source = library[0] / target.relative_to(tmp_path / "home" / "phoenix")
    target.write_bytes(source.read_bytes())
    server.requests = []
    assert len(fetch(**(ONE | {"teff": 5100})).spectra) == 1
    assert server.requests == []
    # A file of another model under this name is found out by its header, and replaced.
    other = path.with_name(path.name.replace("05000", "05200"))
    other.write_bytes(source.read_bytes())
    assert fetch(**(ONE | {"teff": 5200})).parameters[0, 0] == 5200
    assert len(server.requests) == 1


def test_what_is_not_there_without_a_download(fetch, server):
    with pytest.raises(DownloadError, match=r"WAVE_.*is absent.*download_if_missing=False"):
        fetch(download_if_missing=False)
    assert server.requests == []


def test_damaged_manifest(fetch, tmp_path):
    fetch(**ONE)
    manifest = tmp_path / "home" / "phoenix" / "manifest.json"
    for content in ("{", '{"format": "another"}', "[]"):
        manifest.write_text(content)
        with pytest.raises(ValueError, match="Delete it and run the same again"):
            fetch(**ONE)
    manifest.unlink()
    assert len(fetch(**ONE).spectra) == 1


class _FullDisk:
    """A file whose disk has room for so many bytes."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, block):
        self._room -= len(block)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(block)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_full_disk(fetch, server, tmp_path, monkeypatch):
    real = open

    def on_a_full_disk(path, mode="r", *args, **kwargs):
        file = real(path, mode, *args, **kwargs)
        full = str(path).endswith(TEMPORARY) and FIRST in str(path) and "b" in mode
        return _FullDisk(file, 3000) if full and mode != "rb" else file

    monkeypatch.setattr("skphx.datasets._download.open", on_a_full_disk, raising=False)
    with pytest.raises(LocalFileError, match=r"disk, or the quota, is full.*lte05000") as error:
        fetch()
    assert error.value.errno == errno.ENOSPC
    assert not any(FIRST in name for name in files_below(tmp_path))
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert len(fetch().spectra) == 12


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
def test_full_quota_of_a_process(server, tmp_path):
    """The kernel itself refuses to write on: a limit on the size of files."""
    code = f"""
        import resource, signal
        from skphx.datasets import LocalFileError, fetch_phoenix
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            fetch_phoenix(teff=5000, logg=4.0, feh=0.0, mirror={server.url!r}, n_jobs=1,
                          data_home={str(tmp_path / "home")!r}, wavelength=None)
        except LocalFileError as error:
            print(error)
    """
    big = tmp_path / "library"
    write_library(big, wavelength=np.arange(8000.0, 8500.0, 0.05), n_lines=0)
    server.folder = big
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert "the disk, or the quota, is full" in done.stdout, done.stderr
    assert not [name for name in files_below(tmp_path / "home") if ".fits" in name]


@contextmanager
def unprivileged_folder():
    """A folder that may be read and not written, and a user for whom that is true."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    try:
        folder.chmod(0o555)
        if root:
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        folder.rmdir()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions of POSIX")
def test_folder_without_write_permission(fetch):
    with unprivileged_folder() as folder:
        for data_home in (folder, folder / "below"):
            with pytest.raises(LocalFileError, match=r"no permission to write .*choose a folder"):
                fetch(data_home=data_home)
        assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions of POSIX")
def test_cache_that_may_be_read_only(fetch, server):
    """What is there is used, with and without leave to download."""
    with unprivileged_folder() as folder:
        os.seteuid(os.getuid())
        folder.chmod(0o755)
        fetch(data_home=folder)
        (folder / "phoenix").chmod(0o555)
        folder.chmod(0o555)
        if os.getuid() == 0:
            os.seteuid(65534)
        n_requests = len(server.requests)
        for download_if_missing in (True, False):
            grid = fetch(data_home=folder, download_if_missing=download_if_missing)
            assert len(grid.spectra) == 12
        assert len(server.requests) == n_requests
        with pytest.raises(LocalFileError, match="no permission to write"):
            fetch(data_home=folder, feh=(-1.0, 0.0))
        os.seteuid(os.getuid())
        folder.chmod(0o755)
        shutil.rmtree(folder / "phoenix")


def test_data_home_that_is_a_file(fetch, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalFileError, match="could not be written"):
        fetch(data_home=tmp_path / "file")


def test_home_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SKPHX_DATA", str(tmp_path / "elsewhere"))
    assert get_data_home() == tmp_path / "elsewhere"
    monkeypatch.delenv("SKPHX_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert get_data_home() == tmp_path / "skphx_data"
    assert get_data_home("~/mine") == tmp_path / "mine"


def test_two_processes_fetch_the_same(server, library, tmp_path):
    server.delay = 0.05
    code = f"""
        from skphx.datasets import fetch_phoenix
        grid = fetch_phoenix(teff=(5000, 5100), logg=4.0, feh=0.0, mirror={server.url!r},
                             data_home={str(tmp_path)!r}, wavelength=None, on_missing="ignore")
        print(grid.spectra.sum())
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code)]
    processes = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    # Each file crossed the line once; the second process found it there.
    asked = [path for path, _ in server.asked_for(FIRST)]
    assert len(asked) == 1
    assert leftovers(tmp_path) == []


def test_many_threads_keep_one_manifest(server, tmp_path):
    names = [
        path.relative_to(server.folder).as_posix() for path in server.folder.rglob("*HiRes.fits")
    ]
    caches = [FileCache(tmp_path, [server.url]) for _ in range(3)]
    threads = [
        threading.Thread(target=cache.get, args=(name, lambda path: None))
        for cache in caches
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(FileCache(tmp_path, [server.url]).checksums(names)) == set(names)
    assert len(server.requests) == len(names)


# Paths and arguments


@pytest.mark.parametrize(
    "path", ["../outside", "a/../../outside", "/etc/passwd", "a\\..\\b", "C:/x", "", "a\0b"]
)
def test_paths_that_leave_the_cache(path, server, tmp_path):
    with pytest.raises(ValueError, match="leads out of the folder"):
        inside(tmp_path, path)
    layout = GridLayout(
        "evil",
        r"(?P<teff>\d+)",
        read=lambda path: None,
        path=lambda node: path,
        axes={"teff": (5000,)},
        url=server.url,
        medium="air",
    )
    with pytest.raises(ValueError, match="leads out of the folder"):
        fetch_grid(layout, data_home=tmp_path / "home")
    assert server.requests == []


def test_link_that_leaves_the_cache(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "cache" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "cache" / "folder").symlink_to(tmp_path)
    for name in ("link", "folder/secret"):
        with pytest.raises(ValueError, match="leads out of the folder"):
            inside(tmp_path / "cache", name)


def test_grid_whose_name_leaves_the_cache(tmp_path, server):
    layout = GridLayout(
        "../x", r"(?P<teff>\d+)", read=None, path=str, url=server.url, medium="air"
    )
    with pytest.raises(ValueError, match="leads out of the folder"):
        fetch_grid(layout, data_home=tmp_path / "home")


def test_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def write(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, write)
    assert path.read_bytes() == b"before"
    assert [other.name for other in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teff": 5050}, "teff=5050 is not a grid node; nearest: 5000, 5100"),
        ({"logg": (6.5, 7)}, r"logg=\(6.5, 7\) contains no grid node"),
        ({"teff": "hot"}, "teff must be a number, a tuple"),
        ({"on_missing": "cry"}, "on_missing must be 'warn', 'raise' or 'ignore', got 'cry'"),
        ({"n_jobs": 0}, "n_jobs == 0"),
        ({"wavelength": (9000.0, 8000.0)}, "needs low < high"),
        ({"dtype": int}, "dtype must be float64 or float32"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_asked_for(fetch, server, changes, message):
    with pytest.raises(ValueError, match=message):
        fetch(**changes)
    assert not server.asked_for("lte")


def test_default_is_the_grid_of_the_paper(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "skphx.datasets._libraries.fetch_files",
        lambda cache, relatives, *args, **kwargs: asked.update(n=len(relatives)) or 1 / 0,
    )
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ZeroDivisionError):
        fetch_phoenix(data_home=folder)
    assert asked == {"n": 1314}


def test_progress_names_files_and_bytes(fetch, capsys):
    fetch(verbose=1)
    shown = capsys.readouterr().err
    assert "12/12 files" in shown
    assert "B/s" in shown
