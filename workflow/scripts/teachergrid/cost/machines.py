"""What machines can do and cost: `config/machines.yaml`, overridden by a file of the user (--machines)."""

import math
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from ..errors import BadInput
from ..spec import config_files
from ..spec.schema import LOADER
from ..spec.spelling import nearest

CPU = "cpu"
DEFAULT = Path(__file__).parents[4] / "config/machines.yaml"
KEYS = ("date", "gpus", "cpu", "electricity_usd_per_kwh", "apis")
# parts of a device name that are not its type: "NVIDIA H100 80GB HBM3" and "Tesla V100-SXM2-32GB" are h100 and v100
_NOISE = re.compile(r"\b(?:nvidia|tesla|geforce|amd|ada|generation|pcie|sxm\d?|hbm\d\w*|\d+ ?gb?|rtx(?= a\d))\b")
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
                f"machines: no GPU type '{name}'{self._meant(name)}; add it under `gpus` in a file for --machines "
                f"(known: {', '.join(self.gpus)})"
            )
        return self.gpus[name]

    def guess(self, name: str) -> "Guess | None":
        """Return which device a name of a cluster stands for, where the files do not have it; None where nobody can tell.

        Known are names as makers and SLURM give them (nvidia_h100_80gb_hbm3), slices of a GPU (a100_1g.10gb), cards with another
        amount of memory (v100_16gb), and, where a name says no more than its memory, the slowest card with nearly as much.
        """
        if match := re.fullmatch(r"(.*?)[_.-]?(\d)g\.(\d+)gb(?:\.me|\+me)?", name.lower()):
            whole = type_of(match[1], self.gpus)
            if whole not in self.gpus:
                return None
            return Guess(name, _slice(self.gpus[whole], int(match[2]), float(match[3])), f"{match[2]}/7 of {whole}")
        words, memory = type_of(name, self.gpus).split("_"), gigabytes(name)
        names = ["_".join(words[:n]) for n in range(len(words), 0, -1)]
        if (found := next((one for one in names if one in self.gpus), None)) is not None:
            device = self.gpus[found]
            if memory is None or device.memory_gb is None or 0.8 < memory / device.memory_gb < 1.25:
                return Guess(found, device, found)
            return Guess(name, device._replace(memory_gb=memory, usd_per_hour=None), f"{found} with {memory} GB")
        if memory is None:
            return None
        near = min(
            self.gpus, key=lambda one: (abs((self.gpus[one].memory_gb or 0) - memory), self.gpus[one].bf16_tflops)
        )
        return Guess(near, self.gpus[near], f"{near}, the nearest by memory")

    def _meant(self, name: str) -> str:
        """Return ", did you mean 'h100'?" for h10; no card that only looks alike, such as a40 for a30."""
        if guess := self.guess(name):
            return f", did you mean '{guess.type}'?" if guess.type in self.gpus else ""
        plain = re.sub(r"[\W_]", "", name.lower())
        alike = [one for one in self.gpus if re.fullmatch(rf"{re.escape(plain)}\d*", one.replace("_", ""))]
        return nearest(name, alike) if plain else ""

    def usd(self, name: str, hours: float) -> float | None:
        """Return the price of GPU-hours (`cpu`: core-hours) in USD; None where it is unknown."""
        price = self.device(name).usd_per_hour
        return None if price is None else price * hours

    def kwh(self, name: str, hours: float) -> float | None:
        """Return the energy of GPU-hours (core-hours) in kWh; None where the watts are unknown."""
        watts = self.device(name).watts
        return None if watts is None else EFFORT * watts * hours / 1000


class Guess(NamedTuple):
    """What a GPU type of a cluster is taken for. type: the name of its device. words: the same for a reader."""

    type: str
    device: Device
    words: str


def _slice(whole: Device, sevenths: int, memory_gb: float) -> Device:
    """Return a slice of a GPU (MIG): some sevenths of its cores, and its memory with the bandwidth that belongs to it."""
    share = sevenths / 7
    in_memory = memory_gb / (whole.memory_gb or memory_gb)
    return Device(
        whole.bf16_tflops * share,
        whole.fp32_tflops * share,
        whole.bandwidth_gbs * in_memory,
        memory_gb,
        None if whole.watts is None else whole.watts * share,
        None if whole.usd_per_hour is None else whole.usd_per_hour * share,
    )


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
    memory = gigabytes(name)
    by_memory = f"{plain}_{memory}gb" if memory else plain
    return by_memory if by_memory in known else plain


def gigabytes(name: str) -> int | None:
    """Return the memory that a device name states, in GB: 80 for a100-sxm4-80gb."""
    match = re.search(r"(?<![\d.])(\d+) ?GB?(?![a-z0-9])", name.replace("_", " "), re.IGNORECASE)
    return int(match[1]) if match else None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), Loader=LOADER)
    except (OSError, yaml.YAMLError) as error:
        raise BadInput(
            f"{path}: cannot read machines ({str(error).splitlines()[0]}); fix the file of --machines"
        ) from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: is not a mapping; see config/machines.yaml for an example")
    config_files.refuse([path], "machines")
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
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf
    ):
        raise BadInput(f"{where}: {value!r} is not a number of 0 or more; write one, or null where it is unknown")
    return value
