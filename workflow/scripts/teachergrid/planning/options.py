"""The options of `teachergrid plan` that are not Snakemake's."""

import argparse
import re
import time
from datetime import datetime
from typing import NamedTuple

from ..errors import BadInput


class Asked(NamedTuple):
    """argv: Snakemake's own options. deadline: seconds from now. plan: the hash or file that a run is held to."""

    argv: list[str]
    cluster: str | None = None
    gpu: str | None = None
    machines: str | None = None
    start_delay: float | None = None
    max_gpu_hours: float | None = None
    max_usd: float | None = None
    deadline: float | None = None
    plan: str | None = None
    html: str | None = None
    diff: str | None = None
    why: str | None = None
    older: str | None = None
    json: bool = False
    jsonl: bool = False
    details: bool = False
    probe: bool = False
    probe_seconds: float = 300.0
    fit_budget: bool = False
    what_if: list[str] = ()

    def bounded(self) -> bool:
        """Whether something is asked of the plan as a whole."""
        return any(bound is not None for bound in (self.max_gpu_hours, self.max_usd, self.deadline, self.plan))


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise BadInput(f"{message}; teachergrid plan --help tells what there is")


def parser(of_run: bool = False) -> Parser:
    """Return what reads the options of `plan`, or those of them that `run` takes."""
    found = Parser(prog="teachergrid plan", add_help=False, allow_abbrev=False)
    add = found.add_argument
    for option in ("--cluster", "--gpu", "--machines", "--deadline"):
        add(option)
    for option in ("--start-delay", "--max-gpu-hours", "--max-usd"):
        add(option, type=float)
    if of_run:
        add("--plan")
        return found
    for option in ("--html", "--diff", "--why", "--older"):
        add(option)
    for option in ("--json", "--jsonl", "--details", "--fit-budget", "--probe"):
        add(option, action="store_true")
    add("--what-if", action="append", default=[])
    add("--probe-seconds", type=float, default=Asked._field_defaults["probe_seconds"])
    return found


def read(argv: list[str], of_run: bool = False) -> Asked:
    """Split the options into ours and Snakemake's. Raises BadInput."""
    own, rest = parser(of_run).parse_known_args(argv)
    values = vars(own)
    for name in ("max_gpu_hours", "max_usd", "start_delay"):
        if values[name] is not None and not values[name] >= 0:
            raise BadInput(f"--{name.replace('_', '-')} {values[name]:g}: say a number of 0 or more")
    if not values.get("probe_seconds", 1) > 0:
        raise BadInput(f"--probe-seconds {values['probe_seconds']:g}: say how long one probe may take, such as 300")
    values["deadline"] = None if own.deadline is None else seconds_until(own.deadline, time.time())
    return Asked(rest, **values)


def seconds_until(text: str, now: float) -> float:
    """Return seconds from now to `48`, `48h`, `3d` or 2026-05-01[T18:00]. now: seconds since 1970. Raises BadInput."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(h|d)?", text):
        return float(found[1]) * (86400 if found[2] == "d" else 3600)
    try:
        left = datetime.fromisoformat(text).timestamp() - now
    except ValueError as error:
        raise BadInput(f"--deadline {text}: say hours (48h), days (3d) or a date such as 2026-05-01T18:00") from error
    if left <= 0:
        raise BadInput(f"--deadline {text}: is over")
    return left
