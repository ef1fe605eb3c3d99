"""load_grid and fetch_grid: libraries of spectra, on disk and on servers, as one Bunch."""

import os
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch
from tqdm import tqdm

from skphx._files import inside
from skphx._version import __version__
from skphx.datasets._cache import FileCache, get_data_home
from skphx.datasets._download import Attempts
from skphx.datasets._fetching import fetch_files
from skphx.datasets._layouts import get_layout
from skphx.datasets._reading import GridReader, check_header, check_spectrum
from skphx.datasets._selection import (
    check_on_missing,
    check_ranges,
    chosen_values,
    columns_of,
    is_wanted,
    missing_nodes,
    report_missing,
)
from skphx.datasets._stellar_grid import PARAMETER_UNITS, check_medium

_DESCR = """{title}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
{constants}Missing nodes: {n_missing}.
Unit of the flux: {unit}.
{reference}
"""


def load_grid(
    name,
    folder,
    *,
    wavelength=None,
    medium=None,
    on_missing="warn",
    dtype=np.float64,
    verbose=0,
    **ranges,
):
    """Load a library of spectra from files on disk.

    Parameters
    ----------
    name : str or GridLayout
        Which library, see :func:`list_grids`, or its layout.
    folder : path
        Where its files are, at any depth. Files of other names are left alone.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        Keep the pixels from low to high in Å, both included, all files being cut as they are
        read; or interpolate linearly to these pixels, which libraries need whose files have
        each their own; or keep all.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; needed where the library does not say.
    on_missing : {"warn", "raise", "ignore"}
        What to do where nodes of the full product of the parameters' values have no file.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Above 0, a progress bar over the files.
    **ranges : float, tuple (low, high) or list of float
        For any parameter, such as ``teff=(4000, 5000)``, ``logg=4.5`` or ``feh=[-0.5, 0.0]``:
        one value, all from low to high, or just these.

    Returns
    -------
    Bunch
        As all grids, see :mod:`skphx.datasets`, with also `missing` of shape
        (n_missing, n_parameters), the nodes without a file; `constants`, a dict of the
        parameters that do not vary; and `provenance`, which files it was made of.

    Raises
    ------
    FileNotFoundError
        If the folder, or any file of the library in it, is not there.
    ValueError
        If files are damaged, each named with its fault; nodes are missing and `on_missing`
        is "raise"; files have different pixels and `wavelength` is no array; or an argument
        is not valid.

    Warns
    -----
    MissingNodesWarning
        If nodes are missing and `on_missing` is "warn".

    See Also
    --------
    fetch_grid : downloads files first.
    register_grid : adds a library.

    Examples
    --------
    See :func:`register_grid`.
    """
    layout = get_layout(name)
    check_on_missing(on_missing)
    medium, dtype = _check_reading(layout, wavelength, medium, dtype)
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder {folder} does not exist; give the one of the files.")
    files = []
    for path in sorted(Path(root, file) for root, _, names in os.walk(folder) for file in names):
        parameters = layout.parameters_of(path.name)
        if parameters is None:
            continue
        known = {key: wanted for key, wanted in ranges.items() if key in parameters}
        if all(is_wanted(parameters[key], wanted) for key, wanted in known.items()):
            files.append((path, parameters))
    if not files:
        raise FileNotFoundError(
            f"there is no file of the grid {layout.name} in {folder}, or none in the ranges "
            f"{ranges}; its names look like {layout.pattern}"
        )
    grid = read_grid(layout, files, wavelength, medium, dtype, ranges, verbose)
    grid.missing = missing_nodes(grid.parameters)
    return _finish(grid, layout, folder, on_missing, "they have no file")


def fetch_grid(
    name,
    *,
    wavelength=None,
    medium=None,
    data_home=None,
    mirror=None,
    n_jobs=4,
    download_if_missing=True,
    on_missing="warn",
    n_retries=5,
    delay=1.0,
    dtype=np.float64,
    verbose=0,
    **ranges,
):
    """Download a library of spectra, or a part of it, and load it.

    Every file is a unit: it is received under a temporary name, goes on from where it stopped
    if the connection breaks, is checked, and then moved to its place. What is there already
    is checked and not downloaded again, so that a call that failed is simply repeated.

    Parameters
    ----------
    name : str or GridLayout
        Which library; one with an address, see :func:`list_grids`.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        As for :func:`load_grid`. Files are downloaded whole and cut as they are read.
    medium : {"air", "vacuum"} or None
        As for :func:`load_grid`.
    data_home : path or None
        Folder of all downloads; None is ``$SKPHX_DATA``, or else ``~/skphx_data``.
    mirror : str, sequence of str, or None
        Address, or several to be tried in turn, of the folder that the library's paths start
        from; None is the library's own.
    n_jobs : int
        Files downloaded at once.
    download_if_missing : bool
        False uses only what is there, and raises where a file is not.
    on_missing : {"warn", "raise", "ignore"}
        What to do where the server has no file of a node.
    n_retries : int
        Further attempts for a file that fails.
    delay : float
        Seconds before the first of them; doubled for each further one, and longer where the
        server asks for it.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Above 0, progress with bytes and time left.
    **ranges : float, tuple (low, high) or list of float
        For each parameter one node, all from low to high, or just these; all nodes of the
        library where it is not given, and 0 for parameters that have a default.

    Returns
    -------
    Bunch
        As :func:`load_grid`; `provenance` also has the SHA-256 of every file.

    Raises
    ------
    DownloadError
        If files could not be had, after everything else has been downloaded.
    LocalFileError
        If files could not be written: disk full, no permission.
    ValueError
        If an argument is not valid, or the server has none of the nodes.

    Warns
    -----
    MissingNodesWarning
        If the server lacks nodes and `on_missing` is "warn".

    See Also
    --------
    fetch_phoenix : the same for PHOENIX, with the subset of the paper as the default.
    load_grid : files that are on disk already.
    """
    layout = get_layout(name)
    check_on_missing(on_missing)
    if layout.path is None or not (mirror or layout.url):
        raise ValueError(
            f"the grid {layout.name} cannot be downloaded file by file: fetch its files by hand, "
            f"and load them with load_grid({layout.name!r}, folder)."
        )
    medium, dtype = _check_reading(layout, wavelength, medium, dtype)
    check_ranges(ranges, list(layout.axes), layout.name)
    wanted = {**layout.defaults, **ranges}
    axes = [chosen_values(wanted.get(key), values, key) for key, values in layout.axes.items()]
    nodes = [dict(zip(layout.axes, values, strict=True)) for values in product(*axes)]
    mirrors = [mirror] if isinstance(mirror, str) else list(mirror or [layout.url])
    attempts = Attempts(n_retries=n_retries, delay=delay, max_bytes=layout.max_bytes)
    cache = FileCache(inside(get_data_home(data_home), layout.name), mirrors, attempts)
    paths = fetch_files(
        cache,
        [layout.path(node) for node in nodes],
        [_check_file(layout, node) for node in nodes],
        first=layout.extra_files,
        check_first=layout.check_extra,
        n_jobs=n_jobs,
        download_if_missing=download_if_missing,
        verbose=verbose,
    )
    files = [(path, node) for path, node in zip(paths, nodes, strict=True) if path is not None]
    if not files:
        raise ValueError(
            f"{' and '.join(mirrors)} has none of the {len(nodes)} nodes asked for; check the "
            f"address of the mirror and the ranges."
        )
    varying = [name for name, values in zip(layout.axes, axes, strict=True) if len(values) > 1]
    grid = read_grid(layout, files, wavelength, medium, dtype, {}, verbose, columns=varying)
    absent = [node for path, node in zip(paths, nodes, strict=True) if path is None]
    names = grid.parameter_names
    grid.missing = np.array(
        [[node[name] for name in names] for node in absent], dtype=np.float64
    ).reshape(-1, len(names))
    used = [layout.path(node) for _, node in files] + list(layout.extra_files)
    grid.provenance |= {"mirrors": mirrors, "sha256": cache.checksums(used)}
    return _finish(grid, layout, cache.folder, on_missing, "the server has no file of them")


def read_grid(layout, files, wavelength, medium, dtype, ranges, verbose, columns=()):
    """Read files into one Bunch; `files` are pairs of a path and a dict of parameters.

    Parameters of `columns` are columns also where they do not vary.
    """
    reader = GridReader(len(files), wavelength, dtype, absolute=layout.flux_unit is not None)
    # In the order of the nodes, so that the spectra need not be sorted, and copied, afterwards.
    first = [name for name in PARAMETER_UNITS if any(name in named for _, named in files)]
    files = sorted(files, key=lambda file: [file[1].get(name, 0.0) for name in first])
    nodes, used, damaged = [], [], []
    for path, named in tqdm(files, desc="reading", unit="file", disable=not verbose):
        try:
            found = _add_file(reader, layout, path, named, ranges)
        except FileNotFoundError:
            raise  # a file that all need
        except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError) as error:
            damaged.append(f"{path.name}: {error}")
        else:
            nodes += found
            used += [path] * len(found)
    if damaged:
        listed = "\n  ".join(damaged[:8] + ["..."] * (len(damaged) > 8))
        raise ValueError(
            f"{len(damaged)} of {len(files)} files cannot be used:\n  {listed}\nDelete or replace "
            f"them; without them their nodes are reported as missing."
        )
    check_ranges(ranges, list(dict.fromkeys(key for node in nodes for key in node)), layout.name)
    names, constants = columns_of(nodes, columns)
    parameters = np.array([[node[name] for name in names] for node in nodes], dtype=np.float64)
    order = np.lexsort(parameters.T[::-1])
    spectra = reader.spectra
    if (order != np.arange(len(order))).any():
        spectra, parameters = spectra[order], parameters[order]
    repeated = np.flatnonzero((np.diff(parameters, axis=0) == 0).all(axis=1))
    if len(repeated):
        one, other = (used[order[row]].name for row in (repeated[0], repeated[0] + 1))
        raise ValueError(
            f"{one} and {other} are the same node; give the folder of one version only, or choose "
            f"by a parameter in which they differ."
        )
    return Bunch(
        spectra=spectra,
        parameters=parameters,
        parameter_names=names,
        wavelength=reader.wavelength,
        medium=medium,
        units={
            "wavelength": "Angstrom",
            "spectra": layout.flux_unit,
            **{name: PARAMETER_UNITS.get(name) for name in names},
        },
        constants=constants,
        provenance={
            "grid": layout.title or layout.name,
            "layout": layout.name,
            "reference": layout.reference,
            "n_files": len({str(path) for path in used}),
            "skphx": __version__,
        },
    )


def _check_reading(layout, wavelength, medium, dtype):
    """Check how files are to be read, before any is; return medium and dtype."""
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be float64 or float32, got {dtype}.")
    GridReader(0, wavelength, dtype, absolute=False)
    return _medium(layout, medium), dtype


def _add_file(reader, layout, path, named, ranges):
    """Add the wanted spectra of a file; return their parameters."""
    check_header(layout, path, named)
    nodes = []
    for parameters, axis, flux in layout.spectra(path, named):
        if all(is_wanted(parameters[key], ranges[key]) for key in ranges if key in parameters):
            reader.add(axis, flux, parameters.get("teff"))
            nodes.append(parameters)
    return nodes


def _check_file(layout, node):
    """Check of a file that has just arrived: whole, of this node, and a spectrum of a star."""

    def check(path):
        try:
            check_header(layout, path, node)
            for parameters, axis, flux in layout.spectra(path, node):
                absolute = layout.flux_unit is not None
                axis, flux = np.asarray(axis), np.asarray(flux)
                check_spectrum(axis, flux, teff=parameters.get("teff"), absolute=absolute)
        except (KeyError, TypeError, IndexError, EOFError) as error:
            raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error

    return check


def _medium(layout, medium):
    """Medium that library and argument agree on."""
    if medium is not None:
        check_medium(medium)
    if layout.medium is None and medium is None:
        raise ValueError(
            f"the files of {layout.name} do not say whether their wavelengths hold for air or "
            f"vacuum: pass medium='air' or medium='vacuum', as its documentation says."
        )
    if None not in (layout.medium, medium) and layout.medium != medium:
        raise ValueError(
            f"medium={medium!r} was given, but wavelengths of {layout.name} hold for "
            f"{layout.medium}: leave medium out, and convert with air_to_vacuum or vacuum_to_air."
        )
    return medium or layout.medium


def _finish(grid, layout, folder, on_missing, why):
    """Report missing nodes and describe the grid."""
    report_missing(grid.missing, grid.parameter_names, len(grid.spectra), on_missing, why)
    grid.provenance["folder"] = str(folder)
    title = layout.title or f"Grid {layout.name}"
    constants = ", ".join(f"{key}={value:g}" for key, value in grid.constants.items())
    grid.DESCR = _DESCR.format(
        title=title,
        rule="=" * len(title),
        n_spectra=len(grid.spectra),
        n_pixels=len(grid.wavelength),
        low=grid.wavelength[0],
        high=grid.wavelength[-1],
        medium=grid.medium,
        parameters=", ".join(grid.parameter_names),
        constants=f"The same for all: {constants}.\n" if constants else "",
        n_missing=len(grid.missing),
        unit=layout.flux_unit or "not given",
        reference=f"Reference: {layout.reference}." if layout.reference else "",
    )
    return grid
