"""load_table_grid: load a grid from a table of files and their parameters."""

import csv
import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils import Bunch

from skphx._atomic_write import inside
from skphx._domain import STELLAR_PARAMETERS, check_file
from skphx._input_parameters import parameter_value
from skphx._paths import as_path, open_text
from skphx._plain import column_names
from skphx.datasets._grid_arrays import as_grid
from skphx.datasets._grid_flux import flux_per_wavelength
from skphx.datasets._medium import Medium
from skphx.datasets._reading import GridReader, check_dtype
from skphx.datasets._selection import columns_of
from skphx.datasets._spectrum_files import load_spectrum

if TYPE_CHECKING:
    from astropy.units import UnitBase


def load_table_grid(
    table: Any,
    *,
    folder: str | os.PathLike[str] | None = None,
    wavelength: ArrayLike | None = None,
    medium: Medium | None = None,
    wavelength_unit: "str | UnitBase | None" = None,
    dtype: DTypeLike = np.float64,
) -> Bunch:
    r"""Load a grid from a table of files that :func:`load_spectrum` can read.

    Parameters
    ----------
    table : path or table
        CSV or ECSV file, which may be compressed, with a column ``file`` and one column for each
        parameter: ``teff``, ``logg``, ``feh`` and others. Or a table with these columns: a
        DataFrame, a Table of astropy, a structured array or a dict.
    folder : path or None
        Folder of the files; None is the folder of the table's file. Names that lead out of it
        are refused.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included. An array is the pixel centres in Å to which
        all spectra are interpolated linearly; it is needed if the files have different pixels.
        None keeps all pixels.
    medium : {"air", "vacuum"} or None
        As for :func:`load_spectrum`.
    wavelength_unit : str, astropy unit, or None
        As for :func:`load_spectrum`.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        The grid, see :mod:`skphx.datasets`.

    Raises
    ------
    FileNotFoundError
        If the table does not exist.
    ValueError
        If the table has missing columns or files outside the folder, or files are damaged, have
        masked pixels or flux in units that cannot be converted to that of the first file (the
        message lists them).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skphx.datasets import load_table_grid
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = os.path.join(folder, "grid.csv")
    ...     with open(table, "w") as file:
    ...         _ = file.write("file,teff,logg,feh\na.txt,5000,4.5,0\nb.txt,6000,4.5,0\n")
    ...     for name in ("a.txt", "b.txt"):
    ...         columns = np.column_stack([np.arange(5000.0, 5010.0), np.full(10, 0.9)])
    ...         np.savetxt(os.path.join(folder, name), columns)
    ...     grid = load_table_grid(table, medium="air", wavelength_unit="Angstrom")
    >>> grid.spectra.shape, grid.parameters[:, 0].tolist()
    ((2, 10), [5000.0, 6000.0])
    """
    name, rows, folder = _read_table(table, folder)
    paths = [inside(folder, row["file"]) for row in rows]
    reader = GridReader(len(rows), wavelength, check_dtype(dtype), absolute=False)
    damaged, media, unit = [], set(), None
    for row, path in zip(rows, paths, strict=True):
        try:
            star = load_spectrum(path, medium=medium, wavelength_unit=wavelength_unit)
            flux, unit = _flux_of(star, row["file"], unit, is_first=reader.n_read == 0)
            reader.add(star.wavelength, flux)
        except (ValueError, OSError) as error:
            damaged.append(f"{row['file']}: {error}")
            continue
        media.add(star.medium)
    if damaged:
        listed = "\n  ".join(damaged[:8] + ["..."] * (len(damaged) > 8))
        raise ValueError(
            f"{len(damaged)} of {len(rows)} files of {name} cannot be used:\n  {listed}"
        )
    if len(media) > 1:
        raise ValueError(
            f"some files of {name} have wavelengths in air and some in vacuum; convert them "
            f"to one medium."
        )
    nodes = [{key: row[key] for key in row if key != "file"} for row in rows]
    names, constants = columns_of(nodes)
    grid = as_grid(
        name=name,
        spectra=reader.spectra,
        parameters=np.array([[node[key] for key in names] for node in nodes]),
        names=names,
        wavelength=reader.wavelength,
        medium=media.pop(),
        unit=unit,
    )
    grid.constants = constants
    grid.provenance |= {"folder": str(folder), "n_files": len(rows)}
    return grid


def _flux_of(star, name, unit, *, is_first):
    """Return the flux of a file per unit wavelength, in the unit of the files before."""
    if star.flux.ndim != 1:
        raise ValueError(f"it has {len(star.flux)} orders; spectra of a grid have one")
    if star.mask.any():
        raise ValueError(
            f"{star.mask.sum()} of {star.mask.size} pixels are masked or not finite, the first is "
            f"pixel {star.mask.argmax()}; spectra of a grid need flux at every pixel"
        )
    own = star.units["flux"]
    if is_first:
        return flux_per_wavelength(star.flux, own, star.wavelength, name)
    if (own is None) != (unit is None):
        raise ValueError(
            f"the unit of its flux is {own or 'not given'}, and that of the files before is "
            f"{unit or 'not given'}; all files must have one unit"
        )
    return flux_per_wavelength(star.flux, own, star.wavelength, name, wanted=unit)


def _read_table(table, folder):
    """Return the name of the table, its rows, dicts of the file and numbers, and the folder."""
    if column_names(table) is None and not hasattr(table, "colnames"):
        path = check_file(table)
        folder = path.parent if folder is None else as_path(folder)
        return path.name, _read_rows(path), folder
    if folder is None:
        raise ValueError("a table in memory needs folder, the folder of the files.")
    return "table", _check_columns(_texts_of(table), "table"), as_path(folder)


def _texts_of(table):
    """Return the columns of a table in memory: dict of lists, parameters without units."""
    columns = {}
    for name in column_names(table) or []:
        column = [row[name] for row in table] if isinstance(table, list) else table[name]
        if name != "file":
            column = parameter_value(column, name)
        columns[name] = list(column)
    return columns


def _read_rows(table):
    """Read the rows of a file: dicts with the name of the file, and numbers."""
    with open_text(table, name=table.name, newline="", encoding="utf-8-sig") as file:
        text = file.read()
    if text.startswith("# %ECSV"):
        from astropy.table import Table

        columns = _texts_of(Table.read(text, format="ascii.ecsv"))
    else:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True))
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return _check_columns(columns, table.name)


def _check_columns(columns, table):
    """Return rows of the columns of a table: dicts with the name of the file, and numbers."""
    missing = [name for name in ("file", *STELLAR_PARAMETERS) if name not in columns]
    if missing or not len(columns["file"]):
        raise ValueError(
            f"{table} needs columns file, {', '.join(STELLAR_PARAMETERS)}, and lacks "
            f"{', '.join(missing) or 'rows'}; its first line must be the names of the columns."
        )
    numbers: list[dict[str, Any]] = []
    for line, row in enumerate(zip(*columns.values(), strict=True), start=2):
        shown = dict(zip(columns, row, strict=True))
        try:
            values = {name: float(shown[name]) for name in shown if name != "file"}
        except (TypeError, ValueError):
            raise ValueError(
                f"line {line} of {table} must hold a number in each column but file, got {shown}."
            ) from None
        if not np.isfinite(list(values.values())).all():
            raise ValueError(f"line {line} of {table} must hold finite numbers, got {shown}.")
        numbers.append({"file": str(shown["file"]), **values})
    return numbers
