"""The options of `teachergrid plan`, and those of Snakemake's options that matter to a plan."""

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
from ..grid import config_names

PROBE_SECONDS = 300.0
DEFAULT = "config/config.yaml"  # where no --configfile has grids


class PlanOptions(NamedTuple):
    """The options of a plan, as commands.parser describes them.

    argv: Snakemake's own options. deadline: seconds from now. plan: hash or file of the plan that a run must match.
    """

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
        """Whether the plan has a limit, or must match a given plan."""
        return any(bound is not None for bound in (self.max_gpu_hours, self.max_usd, self.deadline, self.plan))


def read(own: Namespace, argv: list[str]) -> PlanOptions:
    """Return the options of `plan`, or of `run`, which has some of them.

    Args:
        own: our options as parsed.
        argv: Snakemake's own.
    Raises:
        BadInput: for a value that makes no sense.
    """
    values = {name: value for name, value in vars(own).items() if name in PlanOptions._fields}
    for name in ("max_gpu_hours", "max_usd", "start_delay"):
        if values[name] is not None and not values[name] >= 0:
            raise BadInput(f"--{name.replace('_', '-')} {values[name]:g}: give a number of 0 or more")
    if not values.get("probe_seconds", PROBE_SECONDS) > 0:
        raise BadInput(
            f"--probe-seconds {values['probe_seconds']:g}: give the longest time of one probe in seconds, such as 300"
        )
    values["deadline"] = None if own.deadline is None else seconds_until(own.deadline, time.time())
    return PlanOptions(argv, **values)


def seconds_until(text: str, now: float) -> float:
    """Return the seconds from now to a deadline.

    text: `48` or `48h` (hours), `3d` (days), or a date 2026-05-01[T18:00]. now: seconds since 1970. Raises BadInput.
    """
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(h|d)?", text):
        return float(match[1]) * (86400 if match[2] == "d" else 3600)
    try:
        left = datetime.fromisoformat(text).timestamp() - now
    except ValueError as error:
        raise BadInput(f"--deadline {text}: give hours (48h), days (3d) or a date such as 2026-05-01T18:00") from error
    if left <= 0:
        raise BadInput(f"--deadline {text}: is in the past")
    return left


# --- Snakemake's options


def at_once(args: Namespace) -> int:
    """Return how many jobs Snakemake may run at the same time. args: its options as its own parser returns them."""
    limit = args.jobs or args.cores
    return int(limit) if str(limit).isdigit() else os.cpu_count() or 1


def parse_quietly(argv: Sequence[str]) -> Namespace:
    """Return Snakemake's options as its own parser reads them, profiles included, without its message about the profile."""
    from snakemake.cli import parse_args

    with redirect_stderr(io.StringIO()):  # Snakemake prints it again when the graph is built
        return parse_args(argv)[1]


def configured(args: Namespace) -> dict:
    """Return the config that Snakemake and the Snakefile build from Snakemake's parsed options."""
    from snakemake.cli import parse_config
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    stated: dict = {}
    config_names.refuse_doubles(args.configfile or [])
    for path in args.configfile or []:
        update_config(stated, load_configfile(path))
    update_config(stated, parse_config(args.config))
    if "grids" in stated:
        return stated
    config_names.refuse_doubles([DEFAULT])
    config = load_configfile(DEFAULT)
    update_config(config, stated)
    return config
