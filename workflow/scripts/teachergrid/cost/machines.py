"""What machines can do and cost: `config/machines.yaml`, overridden by a file of the user (--machines)."""

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from ..errors import BadInput
from ..spec.spelling import nearest

CPU = "cpu"
DEFAULT = Path(__file__).parents[4] / "config/machines.yaml"
KEYS = ("date", "gpus", "cpu", "electricity_usd_per_kwh", "apis")
# parts of a device name that are not its type: "NVIDIA H100 80GB HBM3" and "Tesla V100-SXM2-32GB" are h100 and v100
_NOISE = re.compile(r"\b(?:nvidia|tesla|geforce|amd|ada|generation|pcie|sxm\d?|hbm\d\w*|\d+ ?gb|rtx(?= a\d))\b")
EFFORT = 0.7  # mean power while a job computes, as a share of the device's limit
Entry = TypeVar("Entry", "Device", "Api")


class Device(NamedTuple):
    """One GPU, or one CPU core. None: unknown (a CPU's memory is the host's)."""

    bf16_tflops: float
    fp32_tflops: float
    bandwidth_gbs: float
    memory_gb: float | None = None
    watts: float | None = None
    usd_per_hour: float | None = None


class Api(NamedTuple):
    """Prices in USD per million tokens, as of a date."""

    usd_in: float
    usd_out: float
    date: str


class Machines(NamedTuple):
    """The content of the files. cpu: one core. date: of the prices."""

    gpus: dict[str, Device]
    cpu: Device
    apis: dict[str, Api]
    electricity_usd_per_kwh: float | None
    date: str

    def device(self, name: str) -> Device:
        """Return a device by its type, or `cpu`. Raises BadInput for a type that the files do not have."""
        if name == CPU:
            return self.cpu
        if name not in self.gpus:
            raise BadInput(
                f"machines: no GPU type '{name}'{nearest(name, self.gpus)}; add it under `gpus` in a file for --machines "
                f"(known: {', '.join(self.gpus)})"
            )
        return self.gpus[name]

    def usd(self, name: str, hours: float) -> float | None:
        """Return the price of GPU-hours (`cpu`: core-hours) in USD; None where it is unknown."""
        price = self.device(name).usd_per_hour
        return None if price is None else price * hours

    def kwh(self, name: str, hours: float) -> float | None:
        """Return the energy of GPU-hours (core-hours) in kWh; None where the watts are unknown."""
        watts = self.device(name).watts
        return None if watts is None else EFFORT * watts * hours / 1000


@cache
def read(path: str | None = None) -> Machines:
    """Return the machines of the default file, overridden by those of another file.

    Raises BadInput for a file that does not exist or is not a mapping, an unknown key, a value that is not a number of 0 or more,
    and a new GPU type without its rates or memory.
    """
    content = _parsed(DEFAULT)
    if path is not None:
        content = _merged(content, _parsed(Path(path)), str(path))
    where = str(path or DEFAULT.name)
    return Machines(
        {name: _entry(Device, values, f"{where}: gpus.{name}") for name, values in content["gpus"].items()},
        _entry(Device, content["cpu"], f"{where}: cpu"),
        {name: _entry(Api, values, f"{where}: apis.{name}") for name, values in content["apis"].items()},
        _price(content["electricity_usd_per_kwh"], f"{where}: electricity_usd_per_kwh"),
        str(content["date"]),
    )


def type_of(name: str, known: Collection[str]) -> str:
    """Return the GPU type for a device name: one of `known`, else the name in lower case without the maker.

    Example: "NVIDIA H100 80GB HBM3" -> "h100".
    """
    if name.lower() in known:
        return name.lower()
    words = _NOISE.sub(" ", re.sub(r"[-_]", " ", name.lower())).split()
    plain = "_".join(words)
    gigabytes = re.search(r"(\d+) ?GB", name)
    by_memory = f"{plain}_{gigabytes[1]}gb" if gigabytes else plain
    return by_memory if by_memory in known else plain


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadInput(
            f"{path}: cannot read machines ({str(error).splitlines()[0]}); fix the file of --machines"
        ) from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: is not a mapping; see config/machines.yaml for an example")
    for key in content:
        if key not in KEYS:
            raise BadInput(f"{path}: unknown key '{key}'{nearest(key, KEYS)}")
    return content


def _merged(default: dict[str, Any], override: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the entries of one file, overridden by those of another."""
    merged = dict(default)
    for key, value in override.items():
        if not isinstance(default[key], dict):
            merged[key] = value
            continue
        if not isinstance(value, dict):
            raise BadInput(f"{path}: {key} holds {value!r}; write names and their values default it")
        nested = key != "cpu"
        merged[key] = default[key] | {
            name: default[key].get(name, {}) | item if nested and isinstance(item, dict) else item
            for name, item in value.items()
        }
    return merged


def _entry(kind: type[Entry], values: Any, where: str) -> Entry:
    """Return one checked entry of a file."""
    if not isinstance(values, dict):
        raise BadInput(f"{where}: holds {values!r}; write {', '.join(kind._fields)} under it")
    for key, value in values.items():
        if key not in kind._fields:
            raise BadInput(f"{where}: unknown key '{key}'{nearest(key, kind._fields)}")
        if key != "date":
            _price(value, f"{where}.{key}")
    required = [field for field in kind._fields if field not in kind._field_defaults]
    if kind is Device and where.rpartition(": ")[2] != CPU:
        required.append("memory_gb")
    if missing := [field for field in required if values.get(field) is None]:
        raise BadInput(f"{where}: {', '.join(missing)} is missing; add it")
    return kind(**values | ({"date": str(values["date"])} if kind is Api else {}))


def _price(value: Any, where: str) -> float | None:
    """Return a checked number of 0 or more, or None."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
        raise BadInput(f"{where}: {value!r} is not a number of 0 or more; write one, or null where it is unknown")
    return value
