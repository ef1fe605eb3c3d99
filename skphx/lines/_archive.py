"""Archives of fitted lines: folders that survive a crash and tell what they hold.

====================  =================================================================
file                  what
====================  =================================================================
manifest.json         format and its version, version of skphx, settings, fingerprint of
                      the input (a hash of the wavelengths and of each spectrum), date
wavelength.npy        pixel centres, Å
units/<key>.npz       one fit of one spectrum; the key is the hash of all that went in
nodes.json            keys of the latest fits of all nodes, in the order of the spectra
====================  =================================================================

Every file is written beside its place and then moved there, so that none is ever half
written. Nothing in an archive is unpickled.
"""

import hashlib
import os
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._atomic_write import TEMPORARY, write_atomically
from skphx._domain import LINE_PARAMETERS
from skphx._paths import as_path
from skphx.lines._archive_arrays import (
    damaged,
    digest,
    read_arrays,
    read_json,
    to_json,
    write_arrays,
    write_json,
)
from skphx.lines._archive_manifest import (
    difference,
    fingerprint,
    has_manifest,
    read_manifest,
    write_manifest,
)
from skphx.lines._table import LineTable

_QUALITY = [("row", np.int64), ("n_lines", np.int64), ("rms", float), ("seconds", float)]


class LineArchive:
    """Fitted lines of the nodes of a grid, in a folder.

    ``VoigtCloner(archive=folder)`` makes it and continues it; this class reads it, also while
    it is being written.

    Parameters
    ----------
    path : path
        The folder.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    manifest : dict
        What made the archive: ``format``, ``version``, ``skphx``, ``created``, ``settings``
        and ``fingerprint``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it is not an archive, damaged, or of a later version of the format.

    See Also
    --------
    skphx.VoigtCloner : writes archives.

    Notes
    -----
    A grid can be fitted several times over, as :class:`skphx.LineManifoldRegressor` does to
    make lines smooth; an archive shows the latest pass over all nodes, and keeps the fits of
    the others. One run at a time may write to an archive.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skphx import VoigtCloner
    >>> from skphx.lines import LineArchive
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> depth = np.array([[0.3], [0.6]])
    >>> spectra = 1 - depth * np.exp(-0.5 * ((wavelength - 5002.0) / 0.05) ** 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cloner = VoigtCloner(wavelength, archive=os.path.join(folder, "grid"))
    ...     lines = cloner.fit_transform(spectra)
    ...     archive = LineArchive(os.path.join(folder, "grid"))
    ...     archive.table(), archive.quality()["n_lines"]
    (LineTable of 2 spectra, 2 lines (1 to 1 each), 5002.00 to 5002.00 Å, array([1, 1]))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = as_path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"there is no archive of lines: {self.path} is not a folder.")
        self.manifest = read_manifest(self.path)

    @classmethod
    def _open_for(
        cls, path: Any, wavelength: NDArray, spectra: Any, settings: dict[str, Any]
    ) -> "LineArchive":
        """Create an archive for given input, or open the one that this input began.

        Parameters
        ----------
        path : path
            Folder, made where it is missing.
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres in Å.
        spectra : ndarray of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.
        settings : dict
            Everything else that decides what the fits yield: numbers, strings, None.

        Returns
        -------
        LineArchive
            Ready to be written to; what a killed run left half written is removed.

        Raises
        ------
        ValueError
            If the folder holds other things, or belongs to other input, settings or another
            version of skphx.
        """
        path = as_path(path)
        path.mkdir(parents=True, exist_ok=True)
        if not has_manifest(path):
            # The manifest is written first: without it nothing else here is ours.
            foreign = [name for name in sorted(os.listdir(path)) if not name.endswith(TEMPORARY)]
            if foreign:
                raise ValueError(
                    f"archive {path} has no manifest.json, so it is not an archive of lines, and "
                    f"holds other files (found {foreign[0]}); give an empty folder."
                )
            write_manifest(path, settings, fingerprint(wavelength, spectra))
        archive = cls(path)
        other = difference(archive.manifest, wavelength, spectra, settings)
        if other:
            raise ValueError(
                f"archive {path} cannot be continued: {other}. Give another folder, or the input "
                f"and settings that it was made with; for cross-validation leave archive None "
                f"and set memory."
            )
        for half_written in path.rglob(f"*{TEMPORARY}"):
            half_written.unlink()
        (path / "units").mkdir(exist_ok=True)
        if not (path / "wavelength.npy").exists():
            write_atomically(path / "wavelength.npy", lambda file: np.save(file, wavelength))
        return archive

    @classmethod
    def _find_for(
        cls, path: Any, wavelength: NDArray, spectra: Any, settings: dict[str, Any]
    ) -> "LineArchive | None":
        """Open the archive if it is there and was made of just this, else return None.

        Parameters
        ----------
        path, wavelength, spectra, settings
            As for `_open_for`.

        Returns
        -------
        LineArchive or None
            Ready to be written to.

        Raises
        ------
        ValueError
            If the folder is not an archive, or damaged.
        """
        if not has_manifest(as_path(path)):
            return None
        archive = cls(path)
        other = difference(archive.manifest, wavelength, spectra, settings)
        return None if other else archive

    # Units of work -----------------------------------------------------------------------

    @staticmethod
    def _key(name: str, arguments: Sequence[Any]) -> str:
        """Hash what goes into a unit of work.

        Parameters
        ----------
        name : str
            Name of the function that does it.
        arguments : sequence
            What it is given: arrays, None, and dictionaries of settings.

        Returns
        -------
        str
            The hash, in hexadecimal digits.
        """
        total = hashlib.sha256(name.encode())
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                total.update(digest(argument).encode())
            elif isinstance(argument, dict):
                # 0 and 0.0, of Python or NumPy, are the same setting.
                total.update(to_json({k: _plain(value) for k, value in argument.items()}))
            else:
                total.update(to_json(argument))
        return total.hexdigest()

    def _get(self, key: str) -> dict[str, NDArray] | None:
        """Read a fit.

        Parameters
        ----------
        key : str
            From `_key`.

        Returns
        -------
        dict of ndarray, or None
            What `_put` stored, None if it is not there.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        return self._read(key)

    def _put(self, key: str, fit: dict[str, Any]) -> None:
        """Store a fit.

        Parameters
        ----------
        key : str
            From `_key`.
        fit : dict
            ``lines`` of shape (n_lines, 4), or (n_spectra, n_lines, 4) of a window of all
            spectra, ``rms``, ``seconds``, and more arrays.
        """
        # The number by itself: a look at the quality must not read all lines.
        write_arrays(self._unit(key), key, {**fit, "n_lines": fit["lines"].shape[-2]})

    def _begin_pass(self, keys: list[str]) -> None:
        """Declare which fits of the nodes are from now on the latest.

        Parameters
        ----------
        keys : list of str
            One a node; the fits need not be there yet.
        """
        write_json(self.path / "nodes.json", keys)

    def _put_identities(self, identities: Sequence[NDArray]) -> None:
        """Say which line of a common list each line of each node is.

        Parameters
        ----------
        identities : list of ndarray of shape (n_lines,), int
            One array a node of the latest pass, all of which must be fitted.
        """
        for key, identity in zip(self._keys(), identities, strict=True):
            fit = self._get(key)
            if fit is None:
                raise ValueError(f"archive {self.path} lacks a fit that must have been done.")
            before = fit.get("identity")
            if before is None or not np.array_equal(before, identity):
                self._put(key, {**fit, "identity": identity})

    def _forget_passes(self) -> None:
        """Show no table until the next pass begins; fits are kept."""
        (self.path / "nodes.json").unlink(missing_ok=True)

    # What a user reads -------------------------------------------------------------------

    @property
    def has_pass(self) -> bool:
        """Whether a pass over all nodes has begun: bool."""
        return (self.path / "nodes.json").exists()

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which nodes are fitted in the latest pass: ndarray of shape (n_nodes,), bool."""
        keys = self._keys()
        return np.array([self._unit(key).exists() for key in keys], dtype=bool)

    def table(self, rows: Sequence[int] | None = None) -> LineTable:
        """Return the lines of nodes.

        Parameters
        ----------
        rows : sequence of int or None
            Which nodes; None is all.

        Returns
        -------
        LineTable
            One spectrum a node; equal identities are the same line.

        Raises
        ------
        ValueError
            If a node is not fitted yet, or its file is damaged.
        """
        return LineTable.concatenate(_one_table(fit) for fit in self._fits(rows))

    def quality(self, *, as_frame: bool = False) -> Any:
        """Return how well each node that is done is fitted.

        Parameters
        ----------
        as_frame : bool
            Whether to return a pandas DataFrame.

        Returns
        -------
        structured ndarray or pandas.DataFrame
            ``row`` of the spectrum, ``n_lines``, ``rms`` of lines minus flux, and ``seconds``
            of wall time that the fit took; NaN where an import does not say.

        Raises
        ------
        ValueError
            If no pass over the nodes has begun, or a file is damaged.
        """
        rows = np.flatnonzero(self.done)
        fits = self._fits(rows, ("n_lines", "rms", "seconds"))
        quality = np.array(
            [
                (row, int(fit["n_lines"]), float(fit["rms"]), float(fit["seconds"]))
                for row, fit in zip(rows, fits, strict=True)
            ],
            dtype=_QUALITY,
        )
        if as_frame:
            import pandas

            return pandas.DataFrame(quality)
        return quality

    @classmethod
    def from_table(cls, path: str | os.PathLike[str], table: LineTable) -> "LineArchive":
        """Make an archive of lines that were fitted elsewhere.

        Parameters
        ----------
        path : path
            Folder of the archive, empty or not there yet.
        table : LineTable
            One spectrum a node.

        Returns
        -------
        LineArchive
            With the lines, but without their spectra: `quality` has NaN for rms, and a
            cloner cannot continue it.

        Raises
        ------
        ValueError
            If the folder is not empty.
        """
        path = as_path(path)
        if path.exists() and any(path.iterdir()):
            raise ValueError(f"path must be an empty folder or a new one, but {path} holds files.")
        (path / "units").mkdir(parents=True, exist_ok=True)
        write_manifest(path, {"source": "a table of lines"}, None)
        archive = cls(path)
        keys = []
        for row, one in enumerate(table):
            lines = np.column_stack([getattr(one, name) for name in LINE_PARAMETERS])
            keys.append(cls._key("import", (lines, one.identity, row)))
            fit = {"lines": lines, "identity": one.identity, "rms": np.nan, "seconds": np.nan}
            archive._put(keys[-1], fit)
        archive._begin_pass(keys)
        return archive

    def __repr__(self):
        return f"LineArchive({str(self.path)!r})"

    def _unit(self, key):
        return self.path / "units" / f"{key}.npz"

    def _keys(self):
        if not self.has_pass:
            raise ValueError(
                f"archive {self.path} has no table yet: no pass over all nodes has begun. Run "
                f"fit_transform, or the fit of the emulator, with this archive."
            )
        file = self.path / "nodes.json"
        keys = read_json(file)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise ValueError(damaged(file, "it is not a list of keys"))
        return keys

    def _fits(self, rows, names=("lines", "identity")):
        """Parts of the latest fits of nodes."""
        keys = self._keys()
        rows = range(len(keys)) if rows is None else rows
        fits = [self._read(keys[row], names) for row in rows]
        unfinished = [row for row, fit in zip(rows, fits, strict=True) if fit is None]
        if unfinished:
            raise ValueError(
                f"{len(unfinished)} of {len(fits)} nodes are not fitted yet in archive "
                f"{self.path}, the first is row {unfinished[0]}; run the same fit again to "
                f"finish it, or choose rows among those where `done` is True."
            )
        return fits

    def _read(self, key, names=None):
        """Arrays of a fit, all or some; None if it is not there."""
        file = self._unit(key)
        fit = read_arrays(file, key, names)
        if fit is None:
            return None
        missing = {"lines", "rms", "seconds"} - set(fit) if names is None else set()
        if missing:
            raise ValueError(damaged(file, f"it lacks {sorted(missing)}"))
        lines = fit.get("lines", np.empty((0, len(LINE_PARAMETERS))))
        shaped = lines.ndim in (2, 3) and lines.shape[-1] == len(LINE_PARAMETERS)
        if not shaped or not np.isfinite(lines).all():
            raise ValueError(
                damaged(file, "its lines are not finite arrays of shape (..., n_lines, 4)")
            )
        return fit


def _plain(value):
    """Numbers as float, all else as it is."""
    is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    return float(value) if is_number else value


def _one_table(fit):
    """Table of one node."""
    columns = dict(zip(LINE_PARAMETERS, fit["lines"].T, strict=True))
    return LineTable([0, len(fit["lines"])], **columns, identity=fit.get("identity"))
