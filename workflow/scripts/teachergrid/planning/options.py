"""The options of `teachergrid plan`, and those of Snakemake's options that matter to a plan."""

import io
import math
import os
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput
from ..spec import config_files as files

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

PROBE_SECONDS = 300.0
DEFAULT = "config/config.yaml"  # where no --configfile has grids
A_DATE = "2026-05-01T18:00"


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
        if values[name] is not None and not 0 <= values[name] < math.inf:
            raise BadInput(
                f"--{name.replace('_', '-')} {values[name]:g}: give a number of 0 or more; without a limit leave it out"
            )
    if not 0 < values.get("probe_seconds", PROBE_SECONDS) < math.inf:
        raise BadInput(
            f"--probe-seconds {values['probe_seconds']:g}: give the longest time of one probe in seconds, such as 300"
        )
    values["deadline"] = None if own.deadline is None else seconds_until(own.deadline, time.time())
    return PlanOptions(argv, **values)


def seconds_until(text: str, now: float) -> float:
    """Return the seconds from now to a deadline.

    text: `48` or `48h` (hours), `3d` (days), or a date 2026-05-01[T18:00[+02:00]], in local time without a zone. now: seconds since 1970. Raises BadInput.
    """
    try:
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)(h|d)?", text):
            left = float(match[1]) * (86400 if match[2] == "d" else 3600)
        else:
            left = datetime.fromisoformat(text).timestamp() - now
    except (ValueError, OverflowError) as error:
        raise BadInput(f"--deadline {text}: give hours (48h), days (3d) or a date such as {A_DATE}") from error
    if not 0 < left < math.inf:
        raise BadInput(
            f"--deadline {text}: is not in the future; give hours (48h), days (3d) or a date such as {A_DATE}"
        )
    return left


# --- Snakemake's options


def at_once(args: Namespace) -> int:
    """Return how many jobs Snakemake may run at the same time. args: its options as its own parser returns them."""
    limit = args.jobs or args.cores
    return int(limit) if str(limit).isdigit() else os.cpu_count() or 1


def inserted(argv: Sequence[str], *more: str) -> list[str]:
    """Return Snakemake's options with more of them, before `--`, behind which all words are targets."""
    end = argv.index("--") if "--" in argv else len(argv)
    return [*argv[:end], *more, *argv[end:]]


def targeted(argv: Sequence[str], target: str) -> list[str]:
    """Return Snakemake's options with a target.

    It comes first, since options such as --configfile take all words that follow; or behind `--`, as then every target must.
    """
    return [*argv, target] if "--" in argv else [target, *argv]


def parse(argv: Sequence[str]) -> tuple[ArgumentParser, Namespace]:
    """Return Snakemake's own parser and what it makes of its options, profiles included.

    Raises:
        BadInput: for a profile that cannot be read, and in a folder without a Snakefile.
        SystemExit: for other mistakes in the options; Snakemake prints its message.
    """
    from snakemake.api import resolve_snakefile
    from snakemake.cli import parse_args

    try:
        parser, args = parse_args(list(argv))
    except Exception as error:
        raise BadInput(f"Snakemake's options or profile: {error}") from error
    if args.snakefile is None and resolve_snakefile(None, allow_missing=True) is None:
        raise BadInput(f"{os.getcwd()}: there is no Snakefile here; cd into the project's folder, where README.md lies")
    return parser, args


def parse_quietly(argv: Sequence[str]) -> Namespace:
    """Return Snakemake's options as its own parser reads them, profiles included, without its message about the profile.

    Raises: as `parse`.
    """
    messages = io.StringIO()  # Snakemake prints it again when the graph is built
    try:
        with redirect_stderr(messages):
            return parse(argv)[1]
    except SystemExit:
        sys.stderr.write(messages.getvalue())
        raise


def config_paths(args: Namespace) -> list[str]:
    """Return the files that the Snakefile's config comes from, in which a later one overrides those before it."""
    if args.configfile:
        return [str(path) for path in args.configfile]
    return [os.path.join(args.directory or "", DEFAULT)]


def config_files(args: Namespace) -> dict:
    """Return what the config's files state together. Raises BadInput for one that cannot be read.

    A target behind --configfile is such a file, too: Snakemake's option takes all words that follow.
    """
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    stated: dict = {}
    for path in config_paths(args):
        if args.configfile and not _is_text(path):
            why = "it is no text" if os.path.exists(path) else "there is no such file"
            raise BadInput(
                f"--configfile {path}: cannot be read as a config ({why}); name a YAML file, and targets before --configfile"
            )
        files.refuse([path])
        try:
            update_config(stated, load_configfile(path))
        except Exception as error:  # such as a mistake in a template for YAML (yte)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise BadInput(f"{path}: cannot be read as a config ({lines[0]}); write plain YAML") from error
    return stated


def _is_text(path: str) -> bool:
    """Whether there is a file of this name that was meant as a config: by its ending, or because it holds text."""
    try:
        content = Path(path).read_bytes()
        return path.endswith((".yaml", ".yml", ".json")) or "\0" not in content.decode()
    except (OSError, UnicodeDecodeError):
        return False


def configured(args: Namespace) -> dict:
    """Return the config that Snakemake and the Snakefile build from Snakemake's parsed options. Raises BadInput."""
    from snakemake.cli import parse_config
    from snakemake.utils import update_config

    stated = config_files(args)
    try:
        update_config(stated, parse_config(args.config))
    except ValueError as error:
        raise BadInput(f"--config {' '.join(args.config)}: {error}") from error
    return stated


def checked(args: Namespace) -> dict:
    """Return the config complete, as grid.config.checked does. Its errors name the file and the line."""
    from ..grid import config  # here, so that --help needs nothing heavy

    with files.located(config_paths(args)):
        return config.checked(configured(args))


@contextmanager
def named_targets(workflow: "Workflow") -> Iterator[None]:
    """Say in our words which file of the grid is nearest to a target that no rule makes. Raises BadInput."""
    from snakemake.exceptions import MissingRuleException

    try:
        yield
    except MissingRuleException as error:
        path = re.findall(r"No rule to produce (\S+)", str(error))
        outputs = {rule.name: str(rule.output[0]) for rule in workflow.rules if rule.output}
        raise workflow.globals["cells"].no_such_file(" ".join(path), outputs) from error
