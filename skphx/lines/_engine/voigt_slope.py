"""The derivative of the Faddeeva function w(z), for NumPy arrays and torch tensors alike."""

import math

from skphx.lines._engine.devices import namespace

# w' = −i / sqrt(pi) sum_k SLOPES[k] z^(−2−2k), to rounding from |z| = ASYMPTOTIC on.
ASYMPTOTIC = 30.0
SLOPES = (1.0, 1.5, 3.75, 13.125, 59.0625, 324.84375, 2111.484375)


def faddeeva_slope(z, w):
    """Return w'(z) = −2 z w + 2i / sqrt(pi), or its series where those two terms cancel.

    Parameters
    ----------
    z, w : complex arrays or tensors
        Points of the upper half plane, and the Faddeeva function there.

    Returns
    -------
    complex array or tensor
        w'(z), to about 13 digits.
    """
    xp = namespace(z)
    far = abs(z) > ASYMPTOTIC
    inverse = 1.0 / xp.where(far, z * z, xp.full_like(z, ASYMPTOTIC**2))
    series = inverse * SLOPES[-1]
    for slope in SLOPES[-2::-1]:
        series = (series + slope) * inverse
    near = -2.0 * z * w + 2j / math.sqrt(math.pi)
    return xp.where(far, (-1j / math.sqrt(math.pi)) * series, near)
