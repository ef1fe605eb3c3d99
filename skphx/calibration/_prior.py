"""Prior widths of corrections, learnt from the corrections themselves."""

import numpy as np

# How many lines of the width of all lines together the width of a species counts as; and how many
# of the starting width all lines together count as.
_LINES_OF_ALL, _LINES_OF_START = 4.0, 0.5
# Degrees of freedom of Student's t distribution of the corrections of single lines: most lines
# need none, some need much.
_DEGREES = 3.0
_SINGLE = ("strength", "width", "slope")
# Smallest prior width, in units of the starting width.
_LEAST = 1e-3


class LearntPrior:
    """Prior variances of corrections, of widths that are learnt.

    Corrections of one label share a width, of which the width of all corrections of this kind is
    the expectation. Those of single lines have heavy tails: a line that needs a large correction
    gets a wider prior than its neighbours.

    Parameters
    ----------
    design : Design
        The corrections, with their starting variances.
    before : LearntPrior or None
        Prior of another design, from which the parts that both have are taken.

    Attributes
    ----------
    variance : ndarray of shape (n_columns,)
        Prior variances.

    References
    ----------
    MacKay (1992), Neural Computation 4, 415, for the widths; Lange, Little & Taylor (1989), J. Am.
    Stat. Assoc. 84, 881, for Student's t distribution.
    """

    def __init__(self, design, before=None):
        self.design = design
        self.variance = design.start_variance.copy()
        self._shared = np.ones(len(design.label))
        if before is not None:
            for _, place, old in design.parts_of(before.design):
                self.variance[place] = before.variance[old]
                self._shared[place] = before._shared[old]

    def learn(self, solution):
        """Move the prior variances towards those that the corrections suggest.

        Parameters
        ----------
        solution : Solution
            Corrections with the present prior.
        """
        start = self.design.start_variance
        square, error = solution.values**2, solution.error**2
        # What the stars say of a correction, rather than the prior: between 0 and 1.
        known = np.clip(1.0 - error / solution.prior, 0.0, 1.0)
        # Of a heavy-tailed one, large values count less for the shared width.
        counted = square / solution.prior * self._shared
        for name, part in self.design.parts.items():
            if part.stop == part.start:
                continue
            _, label = np.unique(self.design.label[part], return_inverse=True)
            common = (counted[part].sum() + _LINES_OF_START) / (
                known[part].sum() + _LINES_OF_START
            )
            shared = (np.bincount(label, counted[part]) + _LINES_OF_ALL * common) / (
                np.bincount(label, known[part]) + _LINES_OF_ALL
            )
            shared = np.maximum(shared[label], _LEAST**2)
            self._shared[part] = shared
            self.variance[part] = shared * start[part]
            if name in _SINGLE:
                self.variance[part] = (
                    _DEGREES * shared * start[part] + square[part] + error[part]
                ) / (_DEGREES + 1.0)
