"""load_grid and fetch_grid: load libraries of spectra from files and from servers."""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils import Bunch
from tqdm import tqdm

from skphx._atomic_write import inside
from skphx._domain import PARAMETER_UNITS, STELLAR_PARAMETERS
from skphx._input_parameters import parameter_value
from skphx._paths import check_folder
from skphx._version import __version__
from skphx.datasets._cache import FileCache, get_data_home
from skphx.datasets._download import Attempts
from skphx.datasets._fetching import fetch_files
from skphx.datasets._layouts import GridLayout, get_layout
from skphx.datasets._medium import Medium, agreed_medium
from skphx.datasets._reading import GridReader, check_dtype, check_header, check_spectrum
from skphx.datasets._selection import (
    AxisValues,
    check_on_missing,
    check_ranges,
    chosen_values,
    columns_of,
    is_wanted,
    missing_nodes,
    report_missing,
)

_DESCR = """{title}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
{constants}Missing nodes: {n_missing}.
Unit of the flux: {unit}.
{reference}
"""


def load_grid(
    name: str | GridLayout,
    folder: str | os.PathLike[str],
    *,
    wavelength: ArrayLike | None = None,
    medium: Medium | None = None,
    on_missing: Literal["warn", "raise", "ignore"] = "warn",
    dtype: DTypeLike = np.float64,
    verbose: int = 0,
    **ranges: AxisValues,
) -> Bunch:
    """Load a library of spectra from files on the disk.

    Parameters
    ----------
    name : str or GridLayout
        Name of the library, see :func:`list_grids`, or its layout.
    folder : path
        Folder of the files, which may be in subfolders and compressed with gzip, bzip2 or xz.
        Files with other names are ignored.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included, to which each file is cut when it is read.
        An array is the pixel centres in Å to which all spectra are interpolated linearly; it is
        needed if the files have different pixels. None keeps all pixels.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; needed if the library does not state it.
    on_missing : {"warn", "raise", "ignore"}
        What to do if there is no file for a node of the full product of the parameter values.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Whether to show a progress bar over the files (above 0).
    **ranges : float, tuple (low, high), list of float, or Quantities
        Values of any parameter, such as ``teff=(4000, 5000)``, ``logg=4.5`` or
        ``feh=[-0.5, 0.0]``: one value, all values from low to high, or a list of values.

    Returns
    -------
    Bunch
        The grid, see :mod:`skphx.datasets`, with the further entries `missing` of shape
        (n_missing, n_parameters), the nodes without a file; `constants`, a dict of the
        parameters that do not vary; and `provenance`, a dict that describes the files.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or has no file of the library.
    ValueError
        If files are damaged (the message lists them); nodes are missing and `on_missing` is
        "raise"; files have different pixels and `wavelength` is not an array; or an argument
        is not valid.

    Warns
    -----
    MissingNodesWarning
        If nodes are missing and `on_missing` is "warn".

    See Also
    --------
    fetch_grid : Downloads the files.
    register_grid : Adds a library.

    Examples
    --------
    See :func:`register_grid`.
    """
    layout = get_layout(name)
    check_on_missing(on_missing)
    medium, dtype = _check_reading(layout, wavelength, medium, dtype)
    ranges = {key: parameter_value(wanted, key) for key, wanted in ranges.items()}
    folder = check_folder(folder)
    present = sorted(Path(root, file) for root, _, names in os.walk(folder) for file in names)
    named = [(path, layout.parameters_of(path.name)) for path in present]
    files = [(path, parameters) for path, parameters in named if parameters is not None]
    if not files:
        raise FileNotFoundError(
            f"there is no file of the grid {layout.name} in {folder}, which holds "
            f"{_listed(present)}; the names of its files match {layout.pattern}. Unpack archives "
            f"first."
        )
    n_files = len(files)
    files = [
        (path, parameters)
        for path, parameters in files
        if all(is_wanted(parameters[key], ranges[key]) for key in ranges if key in parameters)
    ]
    if not files:
        raise FileNotFoundError(
            f"{folder} has {n_files} files of the grid {layout.name}, {_listed(present)}, but "
            f"none in the ranges {ranges}; widen the ranges."
        )
    grid = read_grid(layout, files, wavelength, medium, dtype, ranges, verbose)
    grid.missing = missing_nodes(grid.parameters)
    return _finish(grid, layout, folder, on_missing, "there is no file for them")


def fetch_grid(
    name: str | GridLayout,
    *,
    wavelength: ArrayLike | None = None,
    medium: Medium | None = None,
    data_home: str | os.PathLike[str] | None = None,
    mirror: str | Sequence[str] | None = None,
    n_jobs: int = 4,
    download_if_missing: bool = True,
    on_missing: Literal["warn", "raise", "ignore"] = "warn",
    n_retries: int = 5,
    delay: float = 1.0,
    dtype: DTypeLike = np.float64,
    verbose: int = 0,
    **ranges: AxisValues,
) -> Bunch:
    """Download a library of spectra, or a part of it, and load it.

    Each file is downloaded under a temporary name, continued if the connection breaks, checked,
    and then moved to its final path. Files that were already downloaded are checked, and not
    downloaded again: after an error, repeat the call to continue.

    Parameters
    ----------
    name : str or GridLayout
        Name of the library, see :func:`list_grids`, or its layout; it must have a URL.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        As for :func:`load_grid`. Complete files are downloaded, and cut when they are read.
    medium : {"air", "vacuum"} or None
        As for :func:`load_grid`.
    data_home : path or None
        Folder of all downloads; None is that of :func:`get_data_home`.
    mirror : str, sequence of str, or None
        URL of the folder from which the paths of the library start, or several URLs that are
        tried in this order; None is that of the library.
    n_jobs : int
        Number of parallel downloads.
    download_if_missing : bool
        Whether to download files. If False, a missing file is an error.
    on_missing : {"warn", "raise", "ignore"}
        What to do if the server has no file for a node.
    n_retries : int
        Number of further attempts after a failed download of a file.
    delay : float
        Delay in seconds before the first retry; doubled before each further one, and longer if
        the server requests it.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Whether to show a progress bar with bytes and remaining time (above 0).
    **ranges : float, tuple (low, high) or list of float
        Values of any parameter: one value, all values from low to high, or a list of values.
        Parameters that are not given have their default value, or all values of the library.

    Returns
    -------
    Bunch
        The grid, as for :func:`load_grid`; `provenance` also has the SHA-256 of each file.

    Raises
    ------
    DownloadError
        If downloads fail, after all other files have been downloaded.
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
    fetch_phoenix : The same for PHOENIX, with the grid of the paper as the default.
    load_grid : Loads files on the disk.
    """
    layout = get_layout(name)
    check_on_missing(on_missing)
    if layout.path is None or not (mirror or layout.url):
        raise ValueError(
            f"the grid {layout.name} cannot be downloaded file by file: download its files from "
            f"its web page, and load them with load_grid({layout.name!r}, folder)."
        )
    medium, dtype = _check_reading(layout, wavelength, medium, dtype)
    ranges = {key: parameter_value(wanted, key) for key, wanted in ranges.items()}
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
            f"{' and '.join(mirrors)} has none of the {len(nodes)} requested nodes; check the "
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
    return _finish(grid, layout, cache.folder, on_missing, "the server has no file for them")


def _listed(paths):
    """Text for the files that were found: how many, and the names of the first."""
    if not paths:
        return "no file"
    names = ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} files: {names}" if len(paths) > 1 else f"one file: {names}"


def read_grid(layout, files, wavelength, medium, dtype, ranges, verbose, columns=()):
    """Read files into one Bunch; `files` are pairs of a path and a dict of parameters.

    Parameters in `columns` are columns even if they do not vary.
    """
    reader = GridReader(len(files), wavelength, dtype, absolute=layout.flux_unit is not None)
    # Read in the order of the nodes: sorting the spectra afterwards would copy them.
    first = [name for name in STELLAR_PARAMETERS if any(name in named for _, named in files)]
    files = sorted(files, key=lambda file: [file[1].get(name, 0.0) for name in first])
    nodes, used, damaged = [], [], []
    for path, named in tqdm(files, desc="reading", unit="file", disable=not verbose):
        try:
            found = _add_file(reader, layout, path, named, ranges)
        except FileNotFoundError:
            raise  # a file that is needed for all spectra
        except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError) as error:
            damaged.append(f"{path.name}: {error}")
        else:
            nodes += found
            used += [path] * len(found)
    if damaged:
        listed = "\n  ".join(damaged[:8] + ["..."] * (len(damaged) > 8))
        raise ValueError(
            f"{len(damaged)} of {len(files)} files cannot be used:\n  {listed}\nDelete or replace "
            f"them; if they are deleted, their nodes are reported as missing."
        )
    if not nodes:
        raise ValueError(
            f"the files of the grid {layout.name} have no spectrum in the ranges {ranges}."
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
            f"{one} and {other} are the same node; give the folder of one version only, or a "
            f"range of a parameter that differs between them."
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
    """Check the arguments before any file is read; return medium and dtype."""
    dtype = check_dtype(dtype)
    GridReader(0, wavelength, dtype, absolute=False)  # raises if wavelength is not valid
    return agreed_medium(f"the grid {layout.name}", layout.medium, medium), dtype


def _add_file(reader, layout, path, named, ranges):
    """Add the spectra of a file that are in the ranges; return their parameters."""
    check_header(layout, path, named)
    nodes = []
    for parameters, axis, flux in layout.spectra(path, named):
        if all(is_wanted(parameters[key], ranges[key]) for key in ranges if key in parameters):
            reader.add(axis, flux, parameters.get("teff"))
            nodes.append(parameters)
    return nodes


def _check_file(layout, node):
    """Return a check of a downloaded file: complete, of this node, and a valid spectrum."""

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


def _finish(grid, layout, folder, on_missing, why):
    """Report missing nodes, and add provenance and description."""
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
        constants=f"Constant parameters: {constants}.\n" if constants else "",
        n_missing=len(grid.missing),
        unit=layout.flux_unit or "not given",
        reference=f"Reference: {layout.reference}." if layout.reference else "",
    )
    return grid
