"""Identify fitted lines with the transitions of a line list.

A line fit gives the centre, strength and width of a line, but not the atom or molecule that
absorbs. :func:`read_vald` reads a line list of the Vienna Atomic Line Database (VALD), and
:func:`identify_lines` finds the most likely transition for each fitted line.

========== ======= ==============================================================
quantity   unit    what
========== ======= ==============================================================
wavelength Å       in the medium of the list
excitation eV      energy of the lower level
log gf     dex     statistical weight of the lower level times oscillator strength
depth      1       at the centre of the line, in units of the continuum, for the
                   star for which the list was extracted
========== ======= ==============================================================
"""

from skphx.species._identification import identify_lines
from skphx.species._line_list import LineList
from skphx.species._named import NamedEmulator, name_lines
from skphx.species._vald import read_vald

__all__ = ["LineList", "NamedEmulator", "identify_lines", "name_lines", "read_vald"]
