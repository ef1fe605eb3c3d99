"""The steps of the validation of a grid, and the texts of its findings."""

import numpy as np
from scipy.spatial import cKDTree

from skphx.interpolation._nodes import format_node, lattice_of, spacing_of
from skphx.validation._defects import (
    N_AROUND,
    bad_pixels,
    equal_spectra,
    scan_spectra,
    truncated_runs,
)
from skphx.validation._findings import Finding, GridReport
from skphx.validation._labels import LabelFinder
from skphx.validation._lattice_gaps import lattice_gaps
from skphx.validation._leave_one_out import LeaveOneOut, find_outlying
from skphx.validation._runs import add_constant, describe, findings_of, without_shared

# A residual is due to bad pixels if this fraction of the pixels has this fraction of its square.
_FEW_PIXELS, _MOST_OF_SQUARE = 0.01, 0.9
# If a larger fraction of the spectra are copies of others, a parameter has no effect on them.
_MOST_COPIES = 0.1
# With more runs of pixels that no star has, a spectrum may be wrong as a whole: it is compared
# with the others first.
_FEW_RUNS = 3


class Examination:
    """The validation of one grid: a sequence of steps that add findings.

    Parameters
    ----------
    nodes : ndarray of shape (n_spectra, n_parameters)
        The nodes; values that are not finite are reported.
    names : tuple of str
        Names of the columns.
    spectra : array of shape (n_spectra, n_pixels)
        Flux, of which only parts are read at a time.
    wavelength : ndarray of shape (n_pixels,), or None
        Pixel centres in Å.
    threshold : float
        Score above which a node is outlying.
    max_pixels : int
        Largest number of averaged pixels.
    """

    def __init__(self, nodes, names, spectra, wavelength, threshold, max_pixels):
        self.nodes, self.names, self.spectra = nodes, names, spectra
        self.wavelength, self.threshold = wavelength, threshold
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.labelled = np.isfinite(nodes).all(axis=1)
        # Rows whose spectra have no defect so far.
        self.intact = self.labelled.copy()
        self.scan = scan_spectra(spectra, max_pixels, wavelength)
        # Columns: rms, largest deviation, deviation of the level.
        self.errors = np.full((len(nodes), 3), np.nan)
        self.score = np.full(len(nodes), np.nan)

    def report(self):
        """Run all steps, and return the GridReport."""
        self._labels_missing()
        self._defects()
        axes, self.positions = lattice_of(np.where(self.labelled[:, None], self.nodes, 0.0))
        if self.labelled.any():
            axes, positions = lattice_of(self.nodes[self.labelled])
            self.positions[self.labelled] = positions
        self.spacing = spacing_of(axes, int(self.labelled.sum()))
        self._shared_by_the_grid()
        self._truncation()
        self._unphysical(np.flatnonzero(self.intact), few=True)
        self._against_neighbours()
        excluded = [one.row for one in self.findings if one.row is not None and one.exclude]
        self._unphysical(np.setdiff1d(np.flatnonzero(self.labelled), excluded), few=False)
        self._missing_nodes()
        good = self.labelled.copy()
        for finding in self.findings:
            if finding.row is not None and finding.exclude:
                good[finding.row] = False
        # Missing nodes, which have no row, come last.
        order = [len(self.nodes) if one.row is None else one.row for one in self.findings]
        return GridReport(
            findings=tuple(self.findings[i] for i in np.argsort(order, kind="stable")),
            good=good,
            parameters=self.nodes,
            parameter_names=self.names,
            error=self.errors[:, 0],
            level_error=self.errors[:, 2],
            score=self.score,
            notes=tuple(self.notes),
        )

    def _add(self, row, kind, measure, description, remedy, **more):
        node = tuple(self.nodes[row].tolist())
        self.findings.append(
            Finding(int(row), node, kind, float(measure), description, remedy, **more)
        )

    def _node(self, row):
        return format_node(self.nodes[row], self.names)

    def _range(self, start, stop):
        """Text for the pixels from start to stop, without the last one."""
        if self.wavelength is None:
            return f"pixels {start} to {stop - 1}"
        return f"{self.wavelength[start]:.8g} to {self.wavelength[stop - 1]:.8g} Å"

    def _around(self, row):
        """Rows of the intact nodes around a node, the nearest first."""
        rows = np.flatnonzero(self.intact)
        points = self.nodes / self.spacing
        k = min(N_AROUND + 1, len(rows))
        if k == 0:
            return rows
        found = rows[cKDTree(points[rows]).query(points[row], k=np.arange(1, k + 1))[1]]
        return found[found != row][:N_AROUND]

    # ---------------------------------------------------------------------- single spectra

    def _labels_missing(self):
        for row in np.flatnonzero(~self.labelled):
            n_bad = int((~np.isfinite(self.nodes[row])).sum())
            self._add(
                row,
                "no_parameters",
                n_bad,
                "its parameters are not finite",
                "give the parameters of the node, or exclude the row",
            )

    def _defects(self):
        scan = self.scan
        defective = np.isnan(scan.level) | (scan.n_not_finite > 0) | scan.constant
        again = "read or download the spectrum again"
        for row in np.flatnonzero(defective):
            n_bad = scan.n_not_finite[row]
            if n_bad:
                what = f"{n_bad} of {scan.n_pixels} pixels are NaN or infinite"
                remedy = f"{again}, repair the pixels, or exclude the row"
                self._add(row, "not_finite", n_bad / scan.n_pixels, what, remedy)
            elif np.isnan(scan.level[row]):
                what = "no pixel has positive flux"
                self._add(row, "zero", 1.0, what, f"{again}, or exclude the row")
            else:
                what = "all pixels have the same value"
                self._add(row, "constant", 1.0, what, f"{again}, or exclude the row")
        self.intact &= ~defective

    def _shared_by_the_grid(self):
        """Keep the runs of pixels that are faults; note what most spectra have in common."""
        found = {row: runs for row, runs in self.scan.unphysical.items() if self.intact[row]}
        self.unphysical, shared = without_shared(found, int(self.intact.sum()))
        for run, n_rows in shared:
            self.notes.append(
                f"{n_rows} spectra are alike at {self._range(run.start, run.stop)} "
                f"({describe(run)}): a property of the grid, such as a gap or an edge, or a fault "
                f"of all of them; look at these pixels, they are not reported."
            )

    def _truncation(self):
        truncated = truncated_runs(self.spectra, self.scan, self._around)
        truncated = add_constant(truncated, self.unphysical)
        for row, runs in truncated.items():
            if not self.intact[row]:
                continue
            n_pixels = sum(stop - start for start, stop, _ in runs)
            pieces = ", ".join(
                f"{self._range(start, stop)} ({'zero' if value == 0 else f'all {value:.6g}'})"
                for start, stop, value in runs
            )
            self._add(
                row,
                "truncated",
                n_pixels / self.scan.n_pixels,
                f"{n_pixels} of {self.scan.n_pixels} pixels are cut off: {pieces}",
                "read or download the spectrum again, or exclude the row",
            )
        self.intact[list(truncated)] = False

    def _unphysical(self, rows, few):
        """Report pixels that no star has, of the rows with few runs of them, or of the others."""
        for row in rows:
            runs = [run for run in self.unphysical.get(row, []) if not run.is_constant]
            if not runs or few != (len(runs) <= _FEW_RUNS):
                continue
            for finding in findings_of(runs, self.scan.n_pixels, self._range):
                self._add(row, *finding)
            self.intact[row] = False

    # --------------------------------------------------- comparison with the other spectra

    def _against_neighbours(self):
        rows = np.flatnonzero(self.intact)
        self.copies = self._copied_nodes(rows)
        in_copies = np.isin(rows, [row for group in self.copies for row in group])
        n_needed = self.nodes.shape[1] + 3
        n_nodes = int((~in_copies).sum())
        if n_nodes < n_needed:
            self.notes.append(
                f"only {n_nodes} nodes have usable spectra, too few to predict one from the "
                f"others: outlying and mislabelled nodes were not searched."
            )
            self._keep_first_copies()
            self._duplicate_spectra(rows)
            self._isolated_pixels(rows, set())
            return
        prediction = LeaveOneOut(
            self.nodes[rows] / self.spacing,
            self.scan.shapes[rows],
            np.log(self.scan.level[rows]),
            ~in_copies,
        )
        removed = find_outlying(prediction, self.threshold)
        worse_copies = self._choose_copies(prediction, rows)
        self.errors[rows] = prediction.errors
        self.score[rows] = prediction.scores.max(axis=1)
        explained = self._duplicate_spectra(rows)
        self._explain(prediction, rows, removed, worse_copies, explained)
        self._isolated_pixels(rows, {one.row for one in self.findings if one.exclude})

    def _copied_nodes(self, rows):
        """Return groups of rows with the same node."""
        _, inverse = np.unique(self.positions[rows], axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        counts = np.bincount(inverse, minlength=1)
        return [rows[inverse == group].tolist() for group in np.flatnonzero(counts > 1)]

    def _choose_copies(self, prediction, rows):
        """Use only the best of the rows with the same node in predictions; return the others."""
        place_of = {row: place for place, row in enumerate(rows)}
        worse_copies = []
        for group in self.copies:
            places = [place_of[row] for row in group]
            scores = prediction.scores[places].max(axis=1)
            # Equal spectra have equal scores: the first one is kept.
            best = places[int(np.argmin(np.round(scores, 3)))]
            worse_copies += [place for place in places if place != best]
            if prediction.scores[best].max() <= self.threshold:
                prediction.set_usable(best, True)
        return worse_copies

    def _keep_first_copies(self):
        """Keep the first of the rows with the same node, if there are no predictions."""
        for group in self.copies:
            for row in group[1:]:
                self._add_duplicate_node(row, group[0], np.nan)

    def _add_duplicate_node(self, row, kept, score):
        self._add(
            row,
            "duplicate_node",
            score,
            f"row {kept} holds the same node",
            "keep one row per node; either the rows are repeated, or a label is wrong",
        )

    def _duplicate_spectra(self, rows):
        """Report rows with the spectrum of another node; return the rows to exclude."""
        groups = []
        for group in equal_spectra(self.scan, rows):
            # If the nodes are the same, too, they are reported as duplicate nodes.
            if len(np.unique(self.positions[group], axis=0)) > 1:
                groups.append(group)
        n_copies = sum(len(group) - 1 for group in groups)
        no_effect = n_copies > max(2.0, _MOST_COPIES * len(rows))
        if no_effect:
            self.notes.append(
                f"{n_copies} spectra equal that of another node: a parameter seems to have no "
                f"effect on them; they are not excluded."
            )
        explained = set()
        for group in groups:
            scores = np.nan_to_num(self.score[group])
            kept = group[int(np.argmin(np.round(scores, 3)))]
            for row in group:
                if row == kept or (self.positions[row] == self.positions[kept]).all():
                    continue
                factor = self.scan.level[row] / self.scan.level[kept]
                scaled = "" if abs(factor - 1.0) < 1e-6 else f" times {factor:.6g}"
                self._add(
                    row,
                    "duplicate_spectrum",
                    self.score[row],
                    f"the spectrum is that of row {kept} ({self._node(kept)}){scaled}",
                    "read or download the spectrum of this node again, or exclude the row",
                    exclude=not no_effect,
                )
                if not no_effect:
                    explained.add(row)
        return explained

    def _explain(self, prediction, rows, removed, worse_copies, explained):
        """Classify the nodes whose prediction fails."""
        outlying = sorted(
            {*removed.tolist(), *worse_copies, *self._unpredicted_copies(prediction, rows)}
        )
        outlying = [place for place in outlying if rows[place] not in explained]
        if not outlying:
            return
        missing, _ = lattice_gaps(self.nodes[self.labelled])
        if missing is None or len(missing) > len(rows):
            missing = np.empty((0, self.nodes.shape[1]))
        finder = LabelFinder(prediction, missing / self.spacing, self.threshold)
        labels = np.vstack((self.nodes[rows], missing))
        for place in outlying:
            row, score = rows[place], prediction.scores[place].max()
            label, factor = finder.find(place) if score > self.threshold else (None, 1.0)
            if label is not None:
                self._add_mislabelled(row, labels[label], factor)
            elif place in worse_copies:
                group = next(group for group in self.copies if row in group)
                kept = next(one for one in group if np.searchsorted(rows, one) not in worse_copies)
                self._add_duplicate_node(row, kept, score)
            else:
                self._add_unpredicted(prediction, place, row)

    def _unpredicted_copies(self, prediction, rows):
        """Places of the rows with repeated nodes whose prediction fails."""
        copied = {row for group in self.copies for row in group}
        return [
            place
            for place, row in enumerate(rows)
            if row in copied and prediction.scores[place].max() > self.threshold
        ]

    def _add_mislabelled(self, row, label, factor):
        same = self.labelled & (self.nodes == label).all(axis=1)
        holder = f", the label of row {np.flatnonzero(same)[0]}" if same.any() else ""
        self._add(
            row,
            "mislabelled",
            factor,
            f"the spectrum agrees with {format_node(label, self.names)}{holder}, {factor:.3g} "
            f"times better than with its own label",
            "correct the label, or exclude the row",
            label=tuple(label.tolist()),
        )

    def _add_unpredicted(self, prediction, place, row):
        rms, largest, _ = prediction.errors[place]
        score = prediction.scores[place]
        if score[:2].max() <= self.threshold:
            factor = np.exp(prediction.level_residual[place])
            self._add(
                row,
                "level",
                factor,
                f"the flux is {factor:.4g} times the prediction from the nodes around",
                "check the unit and the scale of the spectrum, or exclude the row",
            )
            return
        few = self._few_pixels(prediction.shape_residual[place])
        if few is not None:
            size = self.scan.bin_size
            stop = min((int(few.max()) + 1) * size, self.scan.n_pixels)
            self._add(
                row,
                "bad_pixels",
                len(few) * size,
                f"about {len(few) * size} pixels within "
                f"{self._range(int(few.min()) * size, stop)} differ from the prediction from the "
                f"nodes around, by up to {largest:.2g} in ln(flux)",
                "repair the pixels, for instance from the nodes around, or exclude the row",
            )
            return
        self._add(
            row,
            "outlying",
            score.max(),
            f"the spectrum differs from the prediction from the nodes around: rms {rms:.2g} of "
            f"its median flux, {score.max():.3g} robust standard deviations more than usual",
            "compare the spectrum with those of the nodes around, compute it again, or exclude "
            "the row",
        )

    @staticmethod
    def _few_pixels(residual):
        """Return the bins with most of the squared residual, or None if they are not few."""
        square = residual**2
        worst = np.argsort(-square)[: max(1, int(_FEW_PIXELS * len(square)))]
        if square[worst].sum() <= _MOST_OF_SQUARE * square.sum():
            return None
        return worst[square[worst] > 0.01 * square.max()]

    def _isolated_pixels(self, rows, known):
        """Report isolated bad pixels of spectra that are otherwise good."""
        self.intact[list(known)] = False
        for row in rows:
            if row in known or row in self.unphysical or row not in self.scan.isolated:
                continue
            pixels = bad_pixels(self.spectra, self.scan, int(row), self._around(row))
            if len(pixels):
                where = self._range(int(pixels[0]), int(pixels[0]) + 1)
                self._add(
                    row,
                    "bad_pixels",
                    len(pixels),
                    f"{len(pixels)} isolated pixels differ from the adjacent pixels by a large "
                    f"factor, the first at {where}",
                    "repair the pixels, for instance from the nodes around, or exclude the row",
                    exclude=False,
                )

    # ----------------------------------------------------------------------- missing nodes

    def _missing_nodes(self):
        if not self.labelled.any():
            return
        missing, surrounded = lattice_gaps(self.nodes[self.labelled])
        if missing is None:
            self.notes.append(
                "the nodes are less than half of the product of their values, so that they are "
                "taken as scattered: missing nodes were not searched."
            )
            return
        for node, fraction in zip(missing, surrounded, strict=True):
            self.findings.append(
                Finding(
                    None,
                    tuple(node.tolist()),
                    "missing",
                    float(fraction),
                    f"not in the grid; {fraction:.0%} of the adjacent nodes are",
                    "supply the nodes, or interpolate across them with holes='interpolate'",
                )
            )
