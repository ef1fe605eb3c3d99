"""Lines of text tables: numbers as various programs write them, and which line holds the names."""

import re

from skphx.datasets import _spectrum_names as names

#: What comments begin with.
COMMENTS = ("#", "%", "!", ";", "//", "*")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?|[-+]?(nan|inf|NaN|Inf|NAN|null)")
# Exponents such as 1.5D-3, and those of three digits, 1.5-103.
_FORTRAN = re.compile(r"(?<=[\d.])[dD](?=[-+]?\d)")
_LONG_EXPONENT = re.compile(r"(\.\d+)([-+]\d{3})(?![\d.])")
# Words for missing numbers; asterisks are those of Fortran.
_MISSING = re.compile(
    r"(?i)(?<![^\s,;|\"'])(?:[-+]nan|null|none|n/a|na|indef|undef|-{1,3}|\*{2,})(?![^\s,;|\"'])"
)
# A number with a decimal comma, or without one.
_WITH_COMMA = re.compile(r"[-+]?\d+(,\d+([eE][-+]?\d+)?)?|nan")
# So many lines show what all of them are like.
_N_SHOWN = 20


def tidy_lines(lines: list[str]) -> list[str]:
    """Return lines of data with numbers that Python can read.

    Parameters
    ----------
    lines : list of str
        Lines of a table; those of names are not changed.

    Returns
    -------
    list of str
        The same with exponents such as 1.5D-3 and missing numbers in the usual form, without
        comments at their ends, and with decimal points where they have decimal commas.

    Examples
    --------
    >>> from skphx.datasets._spectrum_lines import tidy_lines
    >>> tidy_lines(["8500,1;1,5e-3", "8500,2;N/A"])
    ['8500.1;1.5e-3', '8500.2;nan']
    """
    lines = [_tidy_line(line) if _is_data(line) else line for line in lines]
    if _has_decimal_commas(lines):
        lines = [re.sub(r"(?<=\d),(?=\d)", ".", line) for line in lines]
    return lines


def _is_data(line):
    """Whether a line begins with a number, or with a word for a missing one."""
    return re.match(r"\s*[\"']?([-+.\d]|nan|inf|null|\*\*)", line, re.IGNORECASE) is not None


def _tidy_line(line):
    line = re.sub(r"\s#.*$", "", line) if "#" in line else line
    return _MISSING.sub("nan", _LONG_EXPONENT.sub(r"\1e\2", _FORTRAN.sub("e", line)))


def _has_decimal_commas(lines):
    """Whether all numbers have at most a comma, and other separators are between them."""
    data = list(filter(_is_data, lines))[-_N_SHOWN:]
    rows = [line.split(";" if ";" in line else None) for line in data]
    words = [word.strip() for row in rows for word in row if word.strip()]
    return (
        all(len(row) > 1 for row in rows)
        and any("," in word for word in words)
        and all(_WITH_COMMA.fullmatch(word) for word in words)
    )


def is_comment(line: str) -> bool:
    """Whether a line is empty or a comment."""
    return not line.strip() or line.lstrip().startswith(COMMENTS)


def split_line(line: str) -> list[str]:
    """Return the words of a line, by the separator that it has."""
    line = line.strip()
    separator = next((one for one in ",;|\t" if one in line), None)
    return [word.strip().strip("\"'") for word in line.strip("|").split(separator)]


def is_number(word: str) -> bool:
    """Whether a word is a number."""
    return _NUMBER.fullmatch(word) is not None


def is_numbers(line: str) -> bool:
    """Whether all words of a line are numbers."""
    words = list(filter(None, split_line(line)))
    return len(words) > 0 and all(map(is_number, words))


def first_line(lines: list[str]) -> int | None:
    """Return the number of the first line of names or numbers, or None.

    Parameters
    ----------
    lines : list of str
        All lines of a file.

    Returns
    -------
    int or None
        From 0; None if all lines are comments.
    """
    used = [i for i, line in enumerate(lines) if line.strip()]
    data = next((lines[i] for i in used if not is_comment(lines[i])), "")
    # Names after the empty one of an index look like a comment where semicolons separate.
    if used and lines[used[0]].lstrip("\"'").startswith(";") and ";" in data:
        return used[0]
    return next((i for i in used if not is_comment(lines[i])), None)


def find_names(lines: list[str], first: int) -> tuple[int | None, int]:
    """Return the numbers of the line of names and of the first line of numbers.

    Titles and numbers of lines above a table are no names.

    Parameters
    ----------
    lines : list of str
        All lines of a file, as from `tidy_lines`.
    first : int
        The first line that is no comment.

    Returns
    -------
    title : int or None
        Line with a name for each column; None if there is none.
    data : int
        First line of at least two numbers, and as many as in the next line; `first` if there is
        none.

    Examples
    --------
    >>> from skphx.datasets._spectrum_lines import find_names
    >>> find_names(["HD 1", "wave flux", "8500 1.0", "8501 0.9"], 0)
    (1, 2)
    """
    used = [i for i in range(first, len(lines)) if i == first or not is_comment(lines[i])]
    for i, following in zip(used, [*used[1:], used[-1]], strict=True):
        n_columns = len(split_line(lines[i]))
        same = n_columns > 1 and n_columns == len(split_line(lines[following]))
        if same and is_numbers(lines[i]):
            data = i
            break
    else:
        return (None if is_numbers(lines[first]) else first), first
    above = [i for i in used if i < data]
    for i in above:  # a line of data with a word that is no number
        words = split_line(lines[i])
        if len(words) == n_columns and is_number(words[0]):
            return None, i
    known = (i for i in above if titles(lines[i], n_columns) is not None)
    others = (i for i in above if _may_be_names(lines[i], n_columns))
    return next(known, next(others, None)), data


def _may_be_names(line, n_columns):
    """Whether a line has a word for each column, the index of pandas or R excepted."""
    words = split_line(line)
    return not any(map(is_number, words)) and len(words) in (n_columns, n_columns - 1)


def titles(line: str, n_columns: int) -> list[str] | None:
    """Return the names of the columns in a line or comment, if they are of a spectrum.

    Parameters
    ----------
    line : str
        The line.
    n_columns : int
        Number of columns.

    Returns
    -------
    list of str or None
        A name for each column; None unless one is known as wavelength and one as flux.
    """
    text = line.strip().lstrip("".join(COMMENTS)).strip()
    for words in (split_line(text), re.split(r"\s{2,}", text)):
        keys = [names.split_name(word)[0] for word in words]
        if (
            len(words) == n_columns
            and any(names.wavelength_name(key) for key in keys)
            and any(key in names.FLUX | names.OTHER_FLUX for key in keys)
        ):
            return words
    return None
