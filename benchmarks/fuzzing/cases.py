"""All kinds of inputs: case number K of seed N is always the same."""

import numpy as np

from fuzzing import damaged, fits_files, grids, stars, survey_files, text_files
from fuzzing.judging import judge

_FILES = (
    fits_files.table_of_pixels, fits_files.table_of_arrays, fits_files.table_of_orders,
    fits_files.table_of_arms, fits_files.image_axis, fits_files.image_extensions,
    survey_files.sdss, survey_files.lamost, survey_files.eso, survey_files.pypeit,
    survey_files.hst_jwst, survey_files.hpf, survey_files.gaia, survey_files.apogee,
    survey_files.desi, survey_files.multispec, text_files.votable, text_files.ecsv,
    text_files.csv, text_files.spaces, text_files.no_names,
)  # fmt: skip
_GRID_FILES = (grids.npz, grids.hdf5)
_OTHERS = (grids.arrays, grids.arrays, *_GRID_FILES, stars.star, stars.star, stars.broken_star)
KINDS = (*_FILES, *_OTHERS)
_DAMAGED, _COMPRESSED = 0.3, 0.05


def make_case(seed, number):
    """Return one case."""
    rng = np.random.default_rng([seed, number])
    maker = KINDS[number % len(KINDS)]
    case = maker(rng)
    if maker in _FILES:
        draw = rng.random()
        if draw < _COMPRESSED * _DAMAGED:
            damaged.compress(rng, case)
            damaged.damage(rng, case)
        elif draw < _DAMAGED:
            damaged.damage(rng, case)
        elif rng.random() < _COMPRESSED:
            damaged.compress(rng, case)
    if maker in _GRID_FILES and rng.random() < _DAMAGED:
        damaged.damage(rng, case)
    return case


def run_cases(seed, numbers):
    """Return the outcomes of some cases."""
    return [judge(make_case(seed, number), number) for number in numbers]
