"""The steps of a grid's examination, and what they say."""

import numpy as np
from scipy.spatial import cKDTree

from skphx.grids._defects import (
    N_AROUND,
    bad_pixels,
    equal_spectra,
    scan_spectra,
    truncated_runs,
)
from skphx.grids._findings import Finding, GridReport
from skphx.grids._labels import LabelFinder
from skphx.grids._lattice_gaps import missing_nodes
from skphx.grids._leave_one_out import LeaveOneOut, find_outlying
from skphx.grids._nodes import format_node, lattice_of, spacing_of

# A residual is one of few pixels if this part of its square is in this part of the pixels.
_FEW_PIXELS, _MOST_OF_SQUARE = 0.01, 0.9
# Where more of the spectra than this are copies, a parameter simply has no effect.
_COPIES_BY_NATURE = 0.1


class Examination:
    """One examination of a grid: steps in their order, each adding what it finds.

    Parameters
    ----------
    nodes : ndarray of shape (n_spectra, n_parameters)
        The nodes; values need not be finite.
    names : tuple of str
        Names of the columns.
    spectra : array of shape (n_spectra, n_pixels)
        Flux, read in slices.
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
        self.findings, self.notes = [], []
        self.labelled = np.isfinite(nodes).all(axis=1)
        self.alive = self.labelled.copy()
        self.scan = scan_spectra(spectra, max_pixels)
        # Errors for the report: rms, largest deviation, level.
        self.errors = np.full((len(nodes), 3), np.nan)
        self.score = np.full(len(nodes), np.nan)

    def report(self):
        """All steps."""
        self._labels_missing()
        self._defects()
        axes, self.positions = lattice_of(np.where(self.labelled[:, None], self.nodes, 0.0))
        if self.labelled.any():
            axes, positions = lattice_of(self.nodes[self.labelled])
            self.positions[self.labelled] = positions
        self.spacing = spacing_of(axes, int(self.labelled.sum()))
        self._truncation()
        self._against_neighbours()
        self._missing_nodes()
        good = self.labelled.copy()
        for finding in self.findings:
            if finding.row is not None and finding.exclude:
                good[finding.row] = False
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
        """Text for the pixels from start to stop, the last one not included."""
        if self.wavelength is None:
            return f"pixels {start} to {stop - 1}"
        return f"{self.wavelength[start]:.8g} to {self.wavelength[stop - 1]:.8g} Å"

    def _around(self, row):
        """Rows of the nodes around one, the nearest first, whose spectra are no defect."""
        rows = np.flatnonzero(self.alive)
        points = self.nodes / self.spacing
        k = min(N_AROUND + 1, len(rows))
        if k == 0:
            return rows
        found = rows[cKDTree(points[rows]).query(points[row], k=np.arange(1, k + 1))[1]]
        return found[found != row][:N_AROUND]

    # ------------------------------------------------------------------ one spectrum alone

    def _labels_missing(self):
        for row in np.flatnonzero(~self.labelled):
            n_bad = int((~np.isfinite(self.nodes[row])).sum())
            self._add(
                row,
                "no_parameters",
                n_bad,
                "its parameters are not finite",
                "give the node's parameters, or exclude the row",
            )

    def _defects(self):
        scan = self.scan
        dead = np.isnan(scan.level) | (scan.n_not_finite > 0) | scan.constant
        again = "read or download the spectrum again"
        for row in np.flatnonzero(dead):
            n_bad = scan.n_not_finite[row]
            if n_bad:
                what = f"{n_bad} of {scan.n_pixels} pixels are NaN or infinite"
                remedy = f"{again}, repair the pixels, or exclude it"
                self._add(row, "not_finite", n_bad / scan.n_pixels, what, remedy)
            elif np.isnan(scan.level[row]):
                what = "no pixel has positive flux"
                self._add(row, "zero", 1.0, what, f"{again}, or exclude it")
            else:
                what = "all pixels hold the same number"
                self._add(row, "constant", 1.0, what, f"{again}, or exclude it")
        self.alive &= ~dead

    def _truncation(self):
        truncated = truncated_runs(self.spectra, self.scan, self._around)
        for row, runs in truncated.items():
            if not self.alive[row]:
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
                "read or download the spectrum again, or exclude it",
            )
        self.alive[list(truncated)] = False

    # ------------------------------------------------------------ a spectrum and the others

    def _against_neighbours(self):
        rows = np.flatnonzero(self.alive)
        self.copies = self._copied_nodes(rows)
        in_copies = np.isin(rows, [row for group in self.copies for row in group])
        n_needed = self.nodes.shape[1] + 3
        n_nodes = int((~in_copies).sum())
        if n_nodes < n_needed:
            self.notes.append(
                f"only {n_nodes} nodes with usable spectra, too few to predict one from the "
                f"others: outlying and mislabelled nodes were not looked for."
            )
            self._duplicate_nodes_unseen()
            self._duplicate_spectra(rows)
            self._lone_pixels(rows, set())
            return
        prediction = LeaveOneOut(
            self.nodes[rows] / self.spacing,
            self.scan.shapes[rows],
            np.log(self.scan.level[rows]),
            ~in_copies,
        )
        removed = find_outlying(prediction, self.threshold)
        losers = self._choose_copies(prediction, rows)
        self.errors[rows] = prediction.errors
        self.score[rows] = prediction.scores.max(axis=1)
        explained = self._duplicate_spectra(rows)
        self._explain(prediction, rows, removed, losers, explained)
        self._lone_pixels(rows, {one.row for one in self.findings if one.exclude})

    def _copied_nodes(self, rows):
        """Return groups of rows that hold the same node."""
        _, inverse = np.unique(self.positions[rows], axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        counts = np.bincount(inverse, minlength=1)
        return [rows[inverse == group].tolist() for group in np.flatnonzero(counts > 1)]

    def _choose_copies(self, prediction, rows):
        """Of rows with the same node let the best one predict others; return the rest."""
        place_of = {row: place for place, row in enumerate(rows)}
        losers = []
        for group in self.copies:
            places = [place_of[row] for row in group]
            scores = prediction.scores[places].max(axis=1)
            # Equal spectra have equal scores: the first of them stays.
            best = places[int(np.argmin(np.round(scores, 3)))]
            losers += [place for place in places if place != best]
            if prediction.scores[best].max() <= self.threshold:
                prediction.set_usable(best, True)
        return losers

    def _duplicate_nodes_unseen(self):
        """Of rows with the same node keep the first, where nothing tells them apart."""
        for group in self.copies:
            for row in group[1:]:
                self._add_duplicate_node(row, group[0], np.nan)

    def _add_duplicate_node(self, row, kept, score):
        self._add(
            row,
            "duplicate_node",
            score,
            f"row {kept} holds the same node",
            "keep one row a node; rows may be repeated, or one of their labels wrong",
        )

    def _duplicate_spectra(self, rows):
        """Rows with the spectrum of another node; returns those to exclude."""
        groups = []
        for group in equal_spectra(self.scan, rows):
            # Copies of node and spectrum are reported as copies of the node.
            if len(np.unique(self.positions[group], axis=0)) > 1:
                groups.append(group)
        n_copies = sum(len(group) - 1 for group in groups)
        by_nature = n_copies > max(2.0, _COPIES_BY_NATURE * len(rows))
        if by_nature:
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
                    "read or download the spectrum of this node again, or exclude it",
                    exclude=not by_nature,
                )
                if not by_nature:
                    explained.add(row)
        return explained

    def _explain(self, prediction, rows, removed, losers, explained):
        """Say of each node that cannot be predicted what it looks like."""
        suspects = sorted(
            {*removed.tolist(), *losers, *self._unpredicted_copies(prediction, rows)}
        )
        suspects = [place for place in suspects if rows[place] not in explained]
        if not suspects:
            return
        missing, _ = missing_nodes(self.nodes[self.labelled])
        if missing is None or len(missing) > len(rows):
            missing = np.empty((0, self.nodes.shape[1]))
        finder = LabelFinder(prediction, missing / self.spacing, self.threshold)
        labels = np.vstack((self.nodes[rows], missing))
        for place in suspects:
            row, score = rows[place], prediction.scores[place].max()
            label, factor = finder.find(place) if score > self.threshold else (None, 1.0)
            if label is not None:
                self._add_mislabelled(row, labels[label], factor)
            elif place in losers:
                group = next(group for group in self.copies if row in group)
                kept = next(one for one in group if np.searchsorted(rows, one) not in losers)
                self._add_duplicate_node(row, kept, score)
            else:
                self._add_unpredicted(prediction, place, row)

    def _unpredicted_copies(self, prediction, rows):
        """Places of copied nodes of which even the best row cannot be predicted."""
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
            f"the spectrum fits {format_node(label, self.names)}{holder}, {factor:.3g} times "
            f"better than its own label",
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
                f"the flux as a whole is {factor:.4g} times what the nodes around predict",
                "check the unit and the scale of the spectrum, or exclude it",
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
                f"{self._range(int(few.min()) * size, stop)} differ from what the nodes around "
                f"predict, by up to {largest:.2g} in ln(flux)",
                "repair the pixels, for instance from the nodes around, or exclude the row",
            )
            return
        self._add(
            row,
            "outlying",
            score.max(),
            f"the nodes around do not predict it: rms {rms:.2g} of its median flux, "
            f"{score.max():.3g} robust standard deviations above what is usual nearby",
            "look at the spectrum beside its neighbours, compute it again, or exclude it",
        )

    @staticmethod
    def _few_pixels(residual):
        """Bins that hold most of a residual, or None where many do."""
        square = residual**2
        worst = np.argsort(-square)[: max(1, int(_FEW_PIXELS * len(square)))]
        if square[worst].sum() <= _MOST_OF_SQUARE * square.sum():
            return None
        return worst[square[worst] > 0.01 * square.max()]

    def _lone_pixels(self, rows, known):
        """Single wild pixels of spectra that are good otherwise."""
        self.alive[list(known)] = False
        for row in rows:
            if row in known or row not in self.scan.lone:
                continue
            pixels = bad_pixels(self.spectra, self.scan, int(row), self._around(row))
            if len(pixels):
                where = self._range(int(pixels[0]), int(pixels[0]) + 1)
                self._add(
                    row,
                    "bad_pixels",
                    len(pixels),
                    f"{len(pixels)} lone pixels differ from those around by a large factor, the "
                    f"first at {where}",
                    "repair the pixels, for instance from the nodes around, or exclude the row",
                    exclude=False,
                )

    # ------------------------------------------------------------------ nodes without a row

    def _missing_nodes(self):
        if not self.labelled.any():
            return
        missing, surrounded = missing_nodes(self.nodes[self.labelled])
        if missing is None:
            self.notes.append(
                "the nodes fill less than half of the product of their values, so that they "
                "are taken as scattered: no missing nodes were looked for."
            )
            return
        for node, part in zip(missing, surrounded, strict=True):
            self.findings.append(
                Finding(
                    None,
                    tuple(node.tolist()),
                    "missing",
                    float(part),
                    f"not in the grid; {part:.0%} of the nodes next to it are",
                    "supply the nodes, or interpolate across the holes with holes='interpolate'",
                )
            )
