"""Checks of the config's names, numbers and files, before the schema's: what YAML reads in another way than it looks.

Every error is a BadInput that names the key and the remedy.
"""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput

if TYPE_CHECKING:
    import yaml

# A file name has at most 255 bytes, and names of files have endings such as .parquet.why.part. The folder of a SLURM job's log
# has all names of its cell.
LONGEST = 230
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
    """Raise BadInput for a name that is no text, and a number that is not finite. value: of the config, at the key `where`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise BadInput(f"{where}: {_no_text(key)}")
            check_values(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_values(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where}: {value} is no number to compute with; write a finite one, or leave the key out")


def _no_text(key: object) -> str:
    """Return why a key is no name, and what to write."""
    if isinstance(key, bool):
        written = "on, yes or true" if key else "off, no or false"
        return f'YAML reads a name here ({written}) as {str(key).lower()}; put it into quotes, such as "{written.split(",")[0]}"'
    if key is None:
        return 'YAML reads a name here (null, ~ or nothing) as no name; put it into quotes, such as "null"'
    kind = next((words for kind, words in KINDS if isinstance(key, kind)), "no text")
    return f'YAML reads the name {key} as {kind}; put it into quotes: "{key}"'


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
        kind = next(words for kind, words in KINDS if isinstance(value, kind))
        return f": YAML reads it as {kind}; put it into quotes"
    return ""


def in_yaml(number: float) -> str:
    """Return a number as YAML 1.1 reads it: 0.0005, 5.0e-7 (an exponent needs a point and a sign), 3."""
    mantissa, e, exponent = f"{number:.12g}".partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{int(exponent):+d}" if e else mantissa


# --- the files


def refuse_doubles(paths: Iterable[str | Path]) -> None:
    """Raise BadInput for a key that stands twice in one mapping of a config file: YAML would silently take the later one.

    What cannot be read is left to Snakemake, which reports it.
    """
    import yaml

    for path in paths:
        try:
            root = yaml.compose(Path(path).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for where, node in _doubles(root, "config", set()):
            raise BadInput(
                f"{path}, line {node.start_mark.line + 1}: {where}.{node.value} is stated a second time, and only one of the two "
                "could count; remove or rename one"
            )


def _doubles(node: "yaml.Node | None", where: str, seen: set[int]) -> Iterator[tuple[str, "yaml.Node"]]:
    """Yield (path of the mapping, node of the key) for each key that repeats an earlier one. seen: ids of nodes that were read."""
    if node is None or id(node) in seen:
        return
    import yaml

    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _doubles(item, f"{where}[{index}]", seen)
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, item in node.value:
            name = (key.tag, str(key.value))
            if name in keys and key.value != "<<":
                yield where, key
            keys.add(name)
            yield from _doubles(item, f"{where}.{key.value}", seen)
