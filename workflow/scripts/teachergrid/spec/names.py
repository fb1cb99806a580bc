"""Checks of the config's names and numbers, before the schema's: what YAML reads in another way than it looks.

Every error is a BadInput that names the key and the remedy.
"""

import datetime
import math
import re
from collections.abc import Iterable, Mapping

from ..errors import BadInput

# A file name has at most 255 bytes, and names of files have endings such as .parquet.why.part. The folder of a SLURM job's log
# has all names of its cell.
LONGEST = 230
LARGEST = 2**63 - 1  # whole number that a table can hold
LONGEST_TEXT = 4000  # characters of a path
# keys of texts, which may be long; a judge's prompt is a file
FREE = re.compile(r"(?<!judges)\.[^.]+\.(system|plain|prompt|text|extract|expression)$|\.template_args\.")
# an output with this ending is a judge's name to Snakemake, and `verify` has a rule of its own
VERIFY_FILE = "verify.parquet"
KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (datetime.date, "a date"),
    (type(None), "null"),
)


def check_values(value: object, where: str = "config") -> None:
    """Raise BadInput for a name that is no text, and for a number or text with which nothing can be computed.

    value: of the config, at the key `where`.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise BadInput(f"{where}: {_no_text(key)}")
            if "\n" in key or "\r" in key:
                raise BadInput(f"{where}: the name {key!r} has a line break; rename it")
            check_values(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_values(item, f"{where}[{index}]")
    elif isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, int | float):
        _check_number(value, where)


def _check_number(value: int | float, where: str) -> None:
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST:
        what = value if isinstance(value, float) else f"a whole number of {len(str(abs(value)))} digits"
        raise BadInput(f"{where}: {what} is infinite, NaN or too large; write another number, or leave the key out")


def _check_text(value: str, where: str) -> None:
    if len(value) > LONGEST_TEXT and not FREE.search(where):
        raise BadInput(f"{where}: has {len(value)} characters, too many for a name or a path; shorten it")
    if "\0" in value:
        raise BadInput(f"{where}: holds a zero character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: holds half of a character ({value[error.start]!r}); write it whole") from error


def check_plain(value: object, where: str) -> None:
    """Raise BadInput for a value that is none of JSON's, such as a date. value: free settings, at the key `where`."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_plain(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_plain(item, f"{where}[{index}]")
    elif not isinstance(value, str | int | float | bool | None):
        raise BadInput(f"{where}: YAML reads {value} as {_kind(value)}; put it into quotes")


def _kind(value: object) -> str:
    """Return in words what YAML made of a text."""
    return next((words for kind, words in KINDS if isinstance(value, kind)), "no text")


def _no_text(key: object) -> str:
    """Return why a key is no name, and what to write."""
    if isinstance(key, bool):
        written = "on, yes or true" if key else "off, no or false"
        return f'YAML reads a name here ({written}) as {str(key).lower()}; put it into quotes, such as "{written.split(",")[0]}"'
    if key is None:
        return 'YAML reads a name here (null, ~ or nothing) as no name; put it into quotes, such as "null"'
    return f'YAML reads the name {key} as {_kind(key)}; put it into quotes: "{key}"'


def check(config: dict) -> None:
    """Raise BadInput for a name that a rule of ours has already."""
    for name in config["judges"]:
        if name.startswith(VERIFY_FILE):
            raise BadInput(f"config.judges.{name}: a name that begins with '{VERIFY_FILE}' is reserved; rename it")


def check_cells(rows: Mapping[str, Iterable[str]]) -> None:
    """Raise BadInput for a cell whose names are together too long for a file name. rows: {rule: its cells}."""
    for rule, cells in rows.items():
        cell = max(cells, key=len, default="")
        if len(cell) > LONGEST:
            longest = max(re.split("/|__", cell), key=len)
            raise BadInput(
                f"config: the names of the cell '{rule} {cell}' have {len(cell)} characters together; files and folders have these "
                f"names, so at most {LONGEST} are possible; shorten '{longest}' or another of them"
            )


def hint(value: object, wanted: Iterable[str]) -> str:
    """Return what to write for a value that YAML reads as another type; "" where no type was mistaken.

    wanted: the types that the schema allows, such as number.
    """
    wanted = {*wanted}
    if isinstance(value, str) and wanted & {"number", "integer"}:
        try:
            number = float(value)
        except ValueError:
            return ""
        return f": YAML reads {value} as text, write {in_yaml(number)}" if math.isfinite(number) else ""
    if "string" in wanted and isinstance(value, bool | int | float | datetime.date):
        return f": YAML reads it as {_kind(value)}; put it into quotes"
    if "string" in wanted and isinstance(value, dict) and len(value) == 1 and [*value.values()] == [None]:
        return ": YAML reads text in braces as a mapping; put it into quotes"
    return ""


def in_yaml(number: float) -> str:
    """Return a number as YAML 1.1 reads it: 0.0005, 5.0e-7 (an exponent needs a point and a sign), 3."""
    mantissa, e, exponent = f"{number:.12g}".partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{int(exponent):+d}" if e else mantissa
