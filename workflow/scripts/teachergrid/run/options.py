"""The options of a run: Snakemake's as Snakemake reads them, profiles included, and our own."""

import io
import sys
from argparse import Namespace
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from ..grid.config import checked
from ..planning import options

# with one of these Snakemake does something else than running the grid, so it gets its options as they are
NO_RUN = "dryrun list_rules list_target_rules lint unlock report dag rulegraph filegraph d3dag summary detailed_summary archive "
NO_RUN += "touch cleanup_metadata delete_all_output delete_temp_output conda_create_envs_only list_changes containerize"


class Options(NamedTuple):
    """argv: Snakemake's own. live: what to do about jobs of an earlier run. aside: it is not a run. targets: named ones.
    at_once: jobs that may run at the same time. plan: the budget, and the plan that the run must match."""

    argv: list[str]
    live: str
    aside: bool
    on_cluster: bool
    targets: list[str]
    config: dict
    at_once: int
    plan: options.PlanOptions


def read(own: Namespace, argv: list[str]) -> Options:
    """Return all options of a run.

    Args:
        own: our options as parsed.
        argv: Snakemake's own.
    Raises:
        BadInput: when a value of ours makes no sense, or the config is wrong.
        SystemExit: with Snakemake's own words, when it does not take argv.
    """
    from snakemake.cli import parse_args

    plan = options.read(own, argv)
    messages = io.StringIO()  # which profile it uses: Snakemake says it again when it runs
    try:
        with redirect_stderr(messages):
            _, args = parse_args(argv)
    except SystemExit:
        sys.stderr.write(messages.getvalue())
        raise
    if args.directory and Path(args.directory).resolve() != Path.cwd():
        raise BadInput(
            f"--directory {args.directory}: the results of a run lie in its folder; cd there, and leave this out"
        )
    aside = any(getattr(args, name, None) for name in NO_RUN.split())
    config = {} if aside else checked(options.configured(args))
    on_cluster, targets = args.executor == "slurm", sorted(args.targets)
    return Options(argv, own.live, aside, on_cluster, targets, config, options.at_once(args), plan)


def with_config(argv: list[str], setting: str) -> list[str]:
    """Add a setting to Snakemake's options; a second --config would replace the first."""
    for flag in ("--config", "-C"):
        if flag in argv:
            at = argv.index(flag) + 1
            return [*argv[:at], setting, *argv[at:]]
    return [*argv, "--config", setting]
