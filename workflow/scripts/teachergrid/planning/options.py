"""What a plan is asked to do: the options of `teachergrid plan`, and what Snakemake's options say about a plan."""

import io
import os
import re
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stderr
from datetime import datetime
from typing import NamedTuple

from ..errors import BadInput

PROBE_SECONDS = 300.0


class PlanOptions(NamedTuple):
    """argv: Snakemake's own options. deadline: seconds from now. plan: the hash or file of the plan that a run must match."""

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
    probe_seconds: float = PROBE_SECONDS
    fit_budget: bool = False
    what_if: Sequence[str] = ()

    def bounded(self) -> bool:
        """Whether the plan as a whole has a limit, or must be a certain one."""
        return any(bound is not None for bound in (self.max_gpu_hours, self.max_usd, self.deadline, self.plan))


def read(own: Namespace, argv: list[str]) -> PlanOptions:
    """Return the options of `plan`, or those of them that `run` takes. Raises BadInput for a value that makes no sense.

    Args:
        own: our options as parsed.
        argv: Snakemake's own.
    """
    values = {name: value for name, value in vars(own).items() if name in PlanOptions._fields}
    for name in ("max_gpu_hours", "max_usd", "start_delay"):
        if values[name] is not None and not values[name] >= 0:
            raise BadInput(f"--{name.replace('_', '-')} {values[name]:g}: say a number of 0 or more")
    if not values.get("probe_seconds", PROBE_SECONDS) > 0:
        raise BadInput(f"--probe-seconds {values['probe_seconds']:g}: say how long one probe may take, such as 300")
    values["deadline"] = None if own.deadline is None else seconds_until(own.deadline, time.time())
    return PlanOptions(argv, **values)


def seconds_until(text: str, now: float) -> float:
    """Return seconds from now to `48`, `48h`, `3d` or 2026-05-01[T18:00]. now: seconds since 1970. Raises BadInput."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(h|d)?", text):
        return float(match[1]) * (86400 if match[2] == "d" else 3600)
    try:
        left = datetime.fromisoformat(text).timestamp() - now
    except ValueError as error:
        raise BadInput(f"--deadline {text}: say hours (48h), days (3d) or a date such as 2026-05-01T18:00") from error
    if left <= 0:
        raise BadInput(f"--deadline {text}: is over")
    return left


# --- of Snakemake's options


def at_once(args: Namespace) -> int:
    """Return how many jobs Snakemake may run at the same time. args: its options as its own parser returns them."""
    limit = args.jobs or args.cores
    return int(limit) if str(limit).isdigit() else os.cpu_count() or 1


def parse_quietly(argv: Sequence[str]) -> Namespace:
    """Return Snakemake's options as its own parser reads them, profiles included. It says nothing about the profile in use."""
    from snakemake.cli import parse_args

    with redirect_stderr(io.StringIO()):  # Snakemake says it again when the graph is built
        return parse_args(argv)[1]


def configured(args: Namespace) -> dict:
    """Return the config that Snakemake and the Snakefile put together from Snakemake's parsed options."""
    from snakemake.cli import parse_config
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    given: dict = {}
    for path in args.configfile or []:
        update_config(given, load_configfile(path))
    update_config(given, parse_config(args.config))
    if "grids" in given:
        return given
    config = load_configfile("config/config.yaml")
    update_config(config, given)
    return config
