"""What is wrong with a grid, as a list that people and programs read."""

from dataclasses import dataclass

import numpy as np

from skphx.grids._nodes import format_node

# Findings of one kind that the text lists before it only counts the others.
_N_SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """One fault of one node of a grid.

    Attributes
    ----------
    row : int or None
        Row of the spectrum; None for a node that the grid lacks.
    parameters : tuple of float
        The node.
    kind : str
        Kind of the fault, see `diagnose_grid`.
    measure : float
        How bad it is; what it counts depends on the kind.
    description : str
        What was found.
    remedy : str
        What to do.
    exclude : bool
        Whether the row is better left out as it is.
    label : tuple of float or None
        For a mislabelled node the parameters that its spectrum fits.
    """

    row: int | None
    parameters: tuple
    kind: str
    measure: float
    description: str
    remedy: str
    exclude: bool = True
    label: tuple | None = None


@dataclass(frozen=True, repr=False)
class GridReport:
    """All findings on a grid; printed, it is a text to read.

    Attributes
    ----------
    findings : tuple of Finding
        All faults, by row; nodes that the grid lacks come last.
    good : ndarray of shape (n_spectra,), bool
        True for the rows to keep: ``parameters[report.good], spectra[report.good]`` is a grid
        of distinct nodes without the faults.
    parameters : ndarray of shape (n_spectra, n_parameters)
        The nodes, as given.
    parameter_names : tuple of str
        Names of the columns.
    error : ndarray of shape (n_spectra,)
        How far each spectrum is from what the good nodes around it predict, as rms over the
        pixels of flux relative to the spectrum's median; NaN where there is no prediction.
    level_error : ndarray of shape (n_spectra,)
        The same for the spectrum's level: ln(median flux) minus its prediction.
    score : ndarray of shape (n_spectra,)
        How unusual these errors are among similar nodes, in robust standard deviations; above
        the threshold a node is reported. NaN where there is no prediction.
    notes : tuple of str
        What could not be checked, and why.
    """

    findings: tuple
    good: np.ndarray
    parameters: np.ndarray
    parameter_names: tuple
    error: np.ndarray
    level_error: np.ndarray
    score: np.ndarray
    notes: tuple = ()

    @property
    def excluded(self):
        """Rows to leave out, increasing."""
        return np.flatnonzero(~self.good)

    def rows(self, kind):
        """Rows with a fault of one kind.

        Parameters
        ----------
        kind : str
            Kind of the fault, see `diagnose_grid`.

        Returns
        -------
        list of int
            The rows, increasing.
        """
        return [finding.row for finding in self.findings if finding.kind == kind]

    def to_frame(self):
        """Return the findings as a table.

        Returns
        -------
        pandas.DataFrame
            One finding a row: row of the spectrum (missing for a node that the grid lacks),
            its parameters, kind, measure, exclude, description and remedy.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: pip install pandas; or read the findings themselves."
            ) from error
        table = {"row": pandas.array([finding.row for finding in self.findings], dtype="Int64")}
        for column, name in enumerate(self.parameter_names):
            table[name] = [finding.parameters[column] for finding in self.findings]
        for name in ("kind", "measure", "exclude", "description", "remedy"):
            table[name] = [getattr(finding, name) for finding in self.findings]
        return pandas.DataFrame(table)

    def __repr__(self):
        return f"<GridReport: {self._headline()}>"

    def _headline(self):
        n_missing = sum(finding.row is None for finding in self.findings)
        return (
            f"{len(self.good)} spectra, {len(self.excluded)} to exclude, {n_missing} missing nodes"
        )

    def __str__(self):
        lines = [f"Grid of {self._headline()}"]
        kinds = dict.fromkeys(finding.kind for finding in self.findings)
        for kind in kinds:
            found = [finding for finding in self.findings if finding.kind == kind]
            lines += ["", f"{kind.replace('_', ' ')} ({len(found)})"]
            lines += [f"  {self._line(finding)}" for finding in found[:_N_SHOWN]]
            if len(found) > _N_SHOWN:
                lines.append(f"  and {len(found) - _N_SHOWN} more, see the findings")
            lines += [f"  -> {remedy}" for remedy in dict.fromkeys(one.remedy for one in found)]
        lines += ["", *(f"note: {note}" for note in self.notes)]
        if len(self.excluded):
            rows = ", ".join(map(str, self.excluded))
            lines += [
                f"Rows to exclude: {rows}.",
                "Keep the others: parameters[report.good], spectra[report.good]; the holes are "
                "interpolated across with holes='interpolate'.",
            ]
        else:
            lines.append("No row has to be excluded.")
        return "\n".join(lines)

    def _line(self, finding):
        node = format_node(finding.parameters, self.parameter_names)
        if finding.row is None:
            return f"{node}: {finding.description}"
        return f"row {finding.row} ({node}): {finding.description}"
