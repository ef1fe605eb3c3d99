"""GridReport: the findings of the validation of a grid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skphx.interpolation._nodes import format_node

if TYPE_CHECKING:
    import pandas

# Largest number of findings of one kind that the text lists.
_N_SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """A fault of a node of a grid.

    Attributes
    ----------
    row : int or None
        Row of the spectrum; None for a missing node.
    parameters : tuple of float
        The node.
    kind : str
        Kind of the fault, see `diagnose_grid`.
    measure : float
        Size of the fault; its meaning depends on the kind.
    description : str
        The fault as text.
    remedy : str
        What to do about the fault.
    exclude : bool
        Whether to leave the row out of the grid.
    label : tuple of float or None
        For a mislabelled node, the parameters with which its spectrum agrees.
    """

    row: int | None
    parameters: tuple[float, ...]
    kind: str
    measure: float
    description: str
    remedy: str
    exclude: bool = True
    label: tuple[float, ...] | None = None


@dataclass(frozen=True, repr=False)
class GridReport:
    """Findings of the validation of a grid; ``print`` shows them as text.

    Attributes
    ----------
    findings : tuple of Finding
        All faults, sorted by row; missing nodes are last.
    good : ndarray of shape (n_spectra,), bool
        True for the rows to keep: ``parameters[report.good], spectra[report.good]`` is a grid
        of distinct nodes without faults.
    parameters : ndarray of shape (n_spectra, n_parameters)
        The nodes, as given.
    parameter_names : tuple of str
        Names of the columns.
    error : ndarray of shape (n_spectra,)
        Difference between each spectrum and its prediction from the good nodes around: rms over
        the pixels, relative to the median flux; NaN if there is no prediction.
    level_error : ndarray of shape (n_spectra,)
        The same for the level of the spectrum: abs(ln(median flux) minus its prediction).
    score : ndarray of shape (n_spectra,)
        How unusual these errors are among similar nodes, in robust standard deviations; nodes
        above the threshold are reported. NaN if there is no prediction.
    notes : tuple of str
        Checks that were not possible, and why.
    """

    findings: tuple[Finding, ...]
    good: NDArray[np.bool_]
    parameters: NDArray[np.float64]
    parameter_names: tuple[str, ...]
    error: NDArray[np.float64]
    level_error: NDArray[np.float64]
    score: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def excluded(self) -> NDArray[np.intp]:
        """Rows to leave out, increasing."""
        return np.flatnonzero(~self.good)

    def rows(self, kind: str) -> list[int]:
        """Rows with a fault of one kind.

        Parameters
        ----------
        kind : str
            Kind of the fault, see `diagnose_grid`.

        Returns
        -------
        list of int
            The rows, increasing; empty for missing nodes, which have no row.
        """
        return [
            finding.row
            for finding in self.findings
            if finding.kind == kind and finding.row is not None
        ]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the findings as a table.

        Returns
        -------
        pandas.DataFrame
            One finding per row: row of the spectrum (NA for a missing node), its parameters,
            kind, measure, exclude, description and remedy.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_pandas needs pandas: pip install pandas; or use report.findings."
            ) from error
        table = {"row": pandas.array([finding.row for finding in self.findings], dtype="Int64")}
        for column, name in enumerate(self.parameter_names):
            table[name] = [finding.parameters[column] for finding in self.findings]
        for name in ("kind", "measure", "exclude", "description", "remedy"):
            table[name] = [getattr(finding, name) for finding in self.findings]
        return pandas.DataFrame(table)

    def __repr__(self) -> str:
        return f"<GridReport: {self._headline()}>"

    def _headline(self):
        n_missing = sum(finding.row is None for finding in self.findings)
        return (
            f"{len(self.good)} spectra, {len(self.excluded)} to exclude, {n_missing} missing nodes"
        )

    def __str__(self) -> str:
        lines = [f"Grid of {self._headline()}"]
        kinds = dict.fromkeys(finding.kind for finding in self.findings)
        for kind in kinds:
            found = [finding for finding in self.findings if finding.kind == kind]
            lines += ["", f"{kind.replace('_', ' ')} ({len(found)})"]
            lines += [f"  {self._line(finding)}" for finding in found[:_N_SHOWN]]
            if len(found) > _N_SHOWN:
                lines.append(f"  and {len(found) - _N_SHOWN} more, see report.findings")
            lines += [f"  -> {remedy}" for remedy in dict.fromkeys(one.remedy for one in found)]
        lines += ["", *(f"note: {note}" for note in self.notes)]
        if len(self.excluded):
            rows = ", ".join(map(str, self.excluded))
            lines += [
                f"Rows to exclude: {rows}.",
                "Use the other rows, parameters[report.good] and spectra[report.good], and "
                "interpolate across the missing nodes with holes='interpolate'.",
            ]
        else:
            lines.append("No row has to be excluded.")
        return "\n".join(lines)

    def _line(self, finding):
        node = format_node(finding.parameters, self.parameter_names)
        if finding.row is None:
            return f"{node}: {finding.description}"
        return f"row {finding.row} ({node}): {finding.description}"
