"""Damage to the bytes of a file: afterwards any answer that is consistent is right."""

import bz2
import gzip
import lzma

import numpy as np

_CARDS = [b"NAXIS   =", b"NAXIS1  =", b"NAXIS2  =", b"BITPIX  =", b"TFIELDS =", b"PCOUNT  =",
          b"TFORM1  =", b"TFORM2  =", b"TTYPE1  =", b"TUNIT1  =", b"TTYPE2  =", b"XTENSION=",
          b"BSCALE  =", b"GCOUNT  =", b"CRVAL1  =", b"CDELT1  =", b"EXTNAME =", b"EXTEND  =",
          b"SIMPLE  =", b"END     "]  # fmt: skip
_VALUES = [
    b"                   0",
    b"                  -1",
    b"           999999999",
    b"                   T",
    b"                 NaN",
    b"                 1.5",
    b"",
    b"'abc     '",
    b"'1P      '",
    b"'9999999999D'",
    b"'1QD(5)  '",
    b"'3A      '",
]


def _flipped(rng, content):
    array = np.frombuffer(content, np.uint8).copy()
    limit = len(array) if rng.random() < 0.5 else min(len(array), 6000)
    for place in rng.integers(0, limit, int(rng.integers(1, 20))):
        array[place] = rng.integers(0, 256)
    return array.tobytes()


def _bit(rng, content):
    array = np.frombuffer(content, np.uint8).copy()
    array[int(rng.integers(len(array)))] ^= 1 << int(rng.integers(8))
    return array.tobytes()


def _cut(rng, content):
    return content[: int(rng.integers(0, len(content)))]


def _repeated(rng, content):
    first, last = sorted(rng.integers(0, len(content), 2))
    return content[:last] + content[first:]


def _removed(rng, content):
    first = int(rng.integers(len(content)))
    return content[:first] + content[first + int(rng.integers(1, 3000)) :]


def _zeros(rng, content):
    first = int(rng.integers(len(content)))
    n = int(rng.integers(1, 3000))
    return content[:first] + b"\0" * min(n, len(content) - first) + content[first + n :]


def _added(rng, content):
    return content + rng.integers(0, 256, int(rng.integers(1, 5000)), dtype=np.uint8).tobytes()


def _card(rng, content):
    """Give a card of a FITS header another value."""
    present = [one for one in _CARDS if one in content]
    if not present:
        return _flipped(rng, content)
    card = present[int(rng.integers(len(present)))]
    places, here = [], content.find(card)
    while here >= 0:
        places.append(here)
        here = content.find(card, here + 80)
    place = places[int(rng.integers(len(places)))]
    value = _VALUES[int(rng.integers(len(_VALUES)))]
    new = (card + b" " + value).ljust(80)[:80]
    if rng.random() < 0.2:
        new = b" " * 80
    return content[:place] + new + content[place + 80 :]


def _line(rng, content):
    """Move, repeat or drop lines."""
    lines = content.split(b"\n")
    first = int(rng.integers(len(lines)))
    draw = rng.random()
    if draw < 0.3:
        del lines[first]
    elif draw < 0.6:
        lines.insert(int(rng.integers(len(lines))), lines[first])
    else:
        lines[first] = lines[first][::-1]
    return b"\n".join(lines)


_DAMAGE = (_flipped, _bit, _cut, _repeated, _removed, _zeros, _added, _card, _card, _card, _line)


def damage(rng, case):
    """Damage a file in one or two ways, before or after it is compressed."""
    for _ in range(int(rng.integers(1, 3))):
        one = _DAMAGE[int(rng.integers(len(_DAMAGE)))]
        if case.content:
            case.content = one(rng, case.content)
        case.log.append(f"damaged by {one.__name__}")
    case.tell("damaged", known=False, may_refuse=True, must_refuse="")


def compress(rng, case):
    """Compress a file."""
    how = (gzip.compress, bz2.compress, lzma.compress)[int(rng.integers(3))]
    case.content = how(case.content)
    case.log.append(f"compressed by {how.__module__}")
