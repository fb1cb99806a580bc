"""The options of a run: Snakemake's own, as its parser reads them with profiles, and ours."""

from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from ..planning import options

# with one of these options Snakemake does something other than run the grid, so we only pass all options on
NO_RUN = "dryrun list_rules list_target_rules lint unlock report dag rulegraph filegraph d3dag summary detailed_summary archive "
NO_RUN += "touch cleanup_metadata delete_all_output delete_temp_output conda_create_envs_only list_changes containerize"

# options of Snakemake that leave out a part of the grid, besides targets, and those that make up-to-date results again
PARTS = ("until", "omit_from", "batch", "allowed_rules", "target_jobs")
FORCES = ("force", "forceall", "forcerun")


class Options(NamedTuple):
    """All options of a run.

    argv: Snakemake's own. live: what to do with live jobs of an earlier run (commands.parser.LIVE). take_over: free the lock of
    another user's dead run although its jobs cannot be seen. pass_on: Snakemake is called
    for something other than a run (NO_RUN). targets: those that the user names, sorted. config: as config.checked returns it; {}
    with pass_on. at_once: jobs that may run at the same time. plan: the budget, and the plan that the run must match.
    whole: whether no option leaves out a part of the grid. forces: whether an option makes up-to-date results again.
    """

    argv: list[str]
    live: str
    pass_on: bool
    on_cluster: bool
    targets: list[str]
    config: dict
    at_once: int
    plan: options.PlanOptions
    whole: bool
    forces: bool
    take_over: bool = False


def read(own: Namespace, argv: list[str]) -> Options:
    """Return all options of a run.

    Args:
        own: our options as parsed.
        argv: Snakemake's own.
    Raises:
        BadInput: one of our options makes no sense, or the config has a mistake.
        SystemExit: Snakemake refuses argv; its own message is printed.
    """
    plan, args = options.read(own, argv), options.parse_quietly(argv)
    if args.directory and Path(args.directory).resolve() != Path.cwd():
        raise BadInput(
            f"--directory {args.directory}: a run writes its results into the current folder; cd there, and leave this option out"
        )
    pass_on = any(getattr(args, name, None) for name in NO_RUN.split())
    config = {} if pass_on else options.checked(args)
    on_cluster, targets = args.executor == "slurm", sorted(args.targets)
    whole = set(targets) <= {"all"} and not any(getattr(args, name) for name in PARTS)
    forces = any(getattr(args, name) for name in FORCES)
    return Options(
        argv, own.live, pass_on, on_cluster, targets, config, options.at_once(args), plan, whole, forces, own.take_over
    )


def with_config(argv: list[str], setting: str) -> list[str]:
    """Return Snakemake's options with a setting added to --config.

    A further --config replaces the ones before, so it names all that they state, however they are spelled, and the profile's.
    """
    stated = options.parse_quietly(argv).config or []
    return options.inserted(argv, "--config", *stated, setting)
