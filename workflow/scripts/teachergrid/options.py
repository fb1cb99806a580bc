"""Snakemake's options as Snakemake reads them, profiles included, and those of our own."""

import io
import os
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple

from .config import checked
from .errors import BadInput
from .planning import options as planning

LIVE = ("refuse", "wait", "cancel")
# options that only look, or do something else than running; Snakemake may have them as they are
ASIDE = "dryrun list_rules list_target_rules lint unlock report dag rulegraph filegraph d3dag summary detailed_summary archive "
ASIDE += "touch cleanup_metadata delete_all_output delete_temp_output conda_create_envs_only list_changes containerize"


class Options(NamedTuple):
    """argv: Snakemake's own. live: what to do about jobs of an earlier run. aside: it is not a run. targets: named ones.
    at_once: jobs that may run at the same time. plan: the budget and the plan that the run is held to."""

    argv: list[str]
    live: str
    aside: bool
    on_cluster: bool
    targets: list[str]
    config: dict
    at_once: int
    plan: planning.Asked


def read(argv: list[str]) -> Options:
    """Return the options. Raises BadInput, and SystemExit with Snakemake's own words."""
    from snakemake.cli import parse_args

    argv, live = own(argv)
    plan = planning.read(argv, of_run=True)
    argv = plan.argv
    said = io.StringIO()  # which profile it uses: Snakemake says it again when it runs
    try:
        with redirect_stderr(said):
            _, args = parse_args(argv)
    except SystemExit:
        sys.stderr.write(said.getvalue())
        raise
    if args.directory and Path(args.directory).resolve() != Path.cwd():
        raise BadInput(
            f"--directory {args.directory}: the results of a run lie in its folder; cd there, and leave this out"
        )
    aside = any(getattr(args, name, None) for name in ASIDE.split())
    config = {} if aside else checked(configured(args))
    return Options(argv, live, aside, args.executor == "slurm", sorted(args.targets), config, at_once(args), plan)


def at_once(args) -> int:
    most = args.jobs or args.cores
    return int(most) if str(most).isdigit() else os.cpu_count()


def own(argv: list[str]) -> tuple[list[str], str]:
    """Return Snakemake's part of the options, and the value of --live."""
    live, rest, words = LIVE[0], [], iter(argv)
    for word in words:
        name, given, value = word.partition("=")
        if name != "--live":
            rest.append(word)
            continue
        live = value if given else next(words, "")
        if live not in LIVE:
            raise BadInput(f"--live {live}: say {', '.join(LIVE[:-1])} or {LIVE[-1]}")
    return rest, live


def configured(args) -> dict:
    """Return the config that Snakemake and the Snakefile put together from these options."""
    from snakemake.cli import parse_config
    from snakemake.common.configfile import load_configfile
    from snakemake.utils import update_config

    given = {}
    for path in args.configfile or []:
        update_config(given, load_configfile(path))
    update_config(given, parse_config(args.config))
    if "grids" in given:
        return given
    config = load_configfile("config/config.yaml")
    update_config(config, given)
    return config


def with_config(argv: list[str], setting: str) -> list[str]:
    """Add a setting to Snakemake's options; a second --config would replace the first."""
    for flag in ("--config", "-C"):
        if flag in argv:
            at = argv.index(flag) + 1
            return [*argv[:at], setting, *argv[at:]]
    return [*argv, "--config", setting]
