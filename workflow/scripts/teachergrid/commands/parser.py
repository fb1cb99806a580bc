"""The command line: one parser, with a subcommand for each command and a line of help for each option of ours.

Options that are not ours are Snakemake's: they are returned as they are, for Snakemake's own parser. Nothing heavy is
imported here, so that `--help` answers at once.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from ..errors import BadInput
from ..planning.options import PROBE_SECONDS

LIVE = ("refuse", "wait", "cancel")
WITHOUT_SNAKEMAKE = ("replicate", "site")
SNAKEMAKE = "Snakemake's own options and targets are taken too, and its profiles count: see snakemake --help."


class Parser(argparse.ArgumentParser):
    """An argument parser that knows no abbreviations and raises BadInput for a mistake."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, description=description, epilog=epilog, allow_abbrev=False, formatter_class=layout)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; {self.prog} --help tells what there is")

    def option_names(self) -> list[str]:
        """Return the names of the options of ours, such as --json."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return our options, with `command` among them, and what is left for Snakemake, in its order.

    Raises BadInput for a mistake in our options, a mistyped name included, and SystemExit(0) after --help.
    """
    commands = build()
    options, rest = commands.parse_known_args(argv)
    command = options.parser
    del options.parser
    if options.command == "why" and options.file != argv[1]:
        command.error("the file or cell comes first, and then Snakemake's options")
    if rest and options.command in WITHOUT_SNAKEMAKE:
        from ..spec.spelling import nearest

        command.error(f"unrecognized arguments: {' '.join(rest)}{nearest(rest[0], command.option_names())}")
    refuse_mistyped(rest, command)
    return options, rest


def refuse_mistyped(rest: list[str], command: Parser) -> None:
    """Raise BadInput when an option that is left for Snakemake is rather a mistyped one of ours."""
    from ..spec.spelling import nearest

    own = command.option_names()
    end = rest.index("--") if "--" in rest else len(rest)
    for word in rest[:end]:
        name = word.partition("=")[0]
        if not name.startswith("--"):
            continue
        beginning_so = [option for option in own if option.startswith(name)]
        hint = f", did you mean '{beginning_so[0]}'?" if beginning_so else nearest(name, own)
        if hint and not is_of_snakemake(name, abbreviations=not beginning_so):
            raise BadInput(f"{name}: neither {command.prog} nor Snakemake has such an option{hint}")


def is_of_snakemake(name: str, abbreviations: bool) -> bool:
    """Whether Snakemake's parser takes an option of this name; with `abbreviations` also its beginning."""
    from snakemake.cli import get_argument_parser

    known = get_argument_parser()._option_string_actions
    return name in known or (abbreviations and any(option.startswith(name) for option in known))


# --- the commands


def build() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="teachergrid",
        description="Plan, run and explain the grid. Every command that looks at the grid takes Snakemake's own options.",
        epilog="teachergrid COMMAND --help tells the options of a command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        epilog = about.epilog if name in WITHOUT_SNAKEMAKE else f"{SNAKEMAKE}\n\n{about.epilog}".strip()
        command = commands.add_parser(name, help=about.summary, description=about.description, epilog=epilog)
        command.set_defaults(parser=command)
        about.add_options(command)
    return parser


def add_run_options(parser: Parser) -> None:
    """Add what `run` takes."""
    add = parser.add_argument
    add(
        "--live",
        default=LIVE[0],
        choices=LIVE,
        help="when jobs of an earlier run of this folder are alive on the cluster: do not start (the default); wait for them "
        "and keep what they finish; or cancel them, and continue from what they saved",
    )
    add("--plan", metavar="HASH|FILE", help="run this plan (`teachergrid plan`: its hash, or its --json) or nothing")
    add_bounds(parser, "do not start what is expected to take more, and stop, as by Ctrl-C, at this limit")
    add_machines(parser)


def add_plan_options(parser: Parser) -> None:
    """Add what `plan` takes."""
    add = parser.add_argument
    add_machines(parser)
    add("--details", action="store_true", help="every job: its reason, time and machine")
    add("--why", metavar="FILE|CELL", help="why one result would be made again")
    add("--json", action="store_true", help="the whole plan for programs: workflow/schemas/plan.schema.json")
    add("--jsonl", action="store_true", help="one line of JSON a job, without costs")
    add("--html", metavar="FILE", help="write the plan as a page, with a Gantt chart")
    add(
        "--diff",
        metavar="PLAN",
        help="what changed since an earlier plan: a file of --json, a plan's hash, `last`, or a git revision of the config",
    )
    add(
        "--what-if",
        action="append",
        default=[],
        metavar="CHANGE",
        help="the same grid otherwise, side by side; may be given several times, `--what-if list` names the changes",
    )
    add_bounds(parser, "refuse a plan that takes more: exit code 3, and the shortest list of cuts")
    add("--fit-budget", action="store_true", help="with a limit: the lines for the config that keep the most")
    add(
        "--probe",
        action="store_true",
        help="first run a few rows of each kind of job (stage, model, settings) of which none was measured, on this machine: "
        "on its GPUs, or on its CPU what is planned on CPUs (--cluster cpu=8)",
    )
    add(
        "--probe-seconds",
        type=float,
        default=PROBE_SECONDS,
        metavar="S",
        help="the longest that one probe may take (%(default)g)",
    )
    add("--older", metavar="RULE", help="only list the files of a rule that older code has made")


def add_machines(parser: Parser) -> None:
    """Add what says on which machines a plan counts."""
    add = parser.add_argument
    add(
        "--cluster",
        metavar="POOLS",
        help="count with these GPUs and CPUs, such as h100=16,a100=32@48h,cpu=128 (@48h: jobs are ended there after 48 "
        "hours); without it with the partitions of a SLURM profile, or this machine. Where CPUs are alone, every job runs on "
        "them",
    )
    add(
        "--gpu",
        metavar="TYPE",
        help="count with this type where a job may run on several, or the cluster does not say which it has",
    )
    add("--machines", metavar="FILE", help="your GPU types and prices, over config/machines.yaml")
    add("--start-delay", type=float, metavar="S", help="seconds from submitted to started (60 on a cluster)")


def add_bounds(parser: Parser, effect: str) -> None:
    """Add the limits of a plan. effect: what happens beyond them."""
    bounds = parser.add_argument_group("limits", description=effect)
    bounds.add_argument("--max-gpu-hours", type=float, metavar="N", help="GPU-hours")
    bounds.add_argument("--max-usd", type=float, metavar="N", help="US dollars, by the prices of config/machines.yaml")
    bounds.add_argument("--deadline", metavar="WHEN", help="hours (48h), days (3d) or a date (2026-05-01T18:00)")


def add_why_options(parser: Parser) -> None:
    """Add what `why` takes."""
    parser.add_argument("file", metavar="FILE|CELL", help="an output, or a cell such as 'generate seed__large'")


def add_status_options(parser: Parser) -> None:
    """Add what `status` takes."""
    parser.add_argument("--json", action="store_true", help="the same for programs")
    parser.add_argument("--html", action="store_true", help="write it as a page, results/status.html")


def add_prefetch_options(parser: Parser) -> None:
    """Add what `prefetch` takes."""
    add = parser.add_argument
    add(
        "--pin",
        action="store_true",
        help="write the commit of every model and data set of the config that has none into config/revisions.lock",
    )
    add(
        "--dry-run",
        action="store_true",
        help="say what would be fetched, its size and the free space; fetch and write nothing",
    )
    add("--check", action="store_true", help="only say what the cache lacks, without a network")


def add_replicate_options(parser: Parser) -> None:
    """Add what `replicate` takes."""
    parser.add_argument("--html", metavar="FILE", help="write the page there, too")


def add_no_options(parser: Parser) -> None:
    """Add nothing."""


class Command(NamedTuple):
    """summary: a line for the list of commands. description and epilog: around its options in its own help."""

    summary: str
    description: str
    epilog: str
    add_options: Callable[[Parser], None]


COMMANDS: dict[str, Command] = {
    "run": Command(
        "run to the end, then report over what exists",
        """\
Run the grid to its end: one command around Snakemake, on a cluster and on one machine. It refuses to start beside another
run or beside jobs of a killed one; ends a Snakemake that waits for jobs which no longer exist, and continues with what is
left; continues when a cell dies, and makes the report over what exists. The log is results/logs/run.log, the summary
results/run.json.""",
        """\
Ctrl-C            stop: the jobs are cancelled, what is finished or saved is kept; the same command continues
Ctrl-C twice      stop, and leave the cluster's jobs running; `teachergrid run --live wait` comes back to them
closed terminal   the run continues without it; kill -TERM is like one Ctrl-C

Environment, in seconds: TEACHERGRID_WATCH between two looks at squeue (60), _HANG without a job before a run counts as hung
(600), _GRACE for a second Ctrl-C (5), _REFUSED before jobs that sbatch refused are submitted again (60), _GONE for cancelled
jobs to end (120).

Exit code: 0 all done; 1 some cells failed, or the rest could not be run; 2 not started; 130 stopped, jobs cancelled;
131 stopped, jobs left running; 3 over budget: not started, or stopped.""",
        add_run_options,
    ),
    "plan": Command(
        "what would run and why, its cost and its end; budgets, differences, variants",
        "Know the cost, the reasons and the end before paying. Nothing of it runs.",
        """\
A fixed bug makes nothing again that GPU work went into or depends on. The plan counts such results and gives the command that
makes them again; it is for the user to decide. Exit code: 0, 2 for a mistake in options or config, 3 over budget.""",
        add_plan_options,
    ),
    "why": Command(
        "why one file would be made again",
        "Say why one output would be made again, or by which code it was made. The file comes first.",
        "",
        add_why_options,
    ),
    "status": Command(
        "cells by stage and state, what runs where, failures by class with their remedy",
        """\
Say where the grid stands: cells by stage and state, what runs where, failures by class, time left, GPU-hours, disk. It only
looks: it takes no lock and plans nothing, so it may be used while a run is alive.""",
        "`teachergrid plan` also compares the inputs' contents, and says what a run would do and why.",
        add_status_options,
    ),
    "prefetch": Command(
        "fetch every model and data set that the planned jobs need; --pin writes their commits",
        """\
Fetch what the planned jobs need from the hub, where there is a network; jobs then run with HF_HUB_OFFLINE=1. Only jobs still
to be done count, and of a model only the files that load it.""",
        "Exit code: 0 all there; 1 something is missing, named with its remedy; 2 not started.",
        add_prefetch_options,
    ),
    "replicate": Command(
        "the first paper's tables through the same statistics; --html FILE writes the page",
        """\
Read the numbers that the first paper prints and what follows from them, compute each again with the functions that a grid's
tables are made with, and say which come out. The exit code is 1 when a number is not reproduced within its printed rounding.""",
        "",
        add_replicate_options,
    ),
    "site": Command(
        "the site's lines of profiles/slurm for the cluster at hand",
        """\
Print the site's lines of profiles/slurm for the cluster at hand, from what sinfo and sacctmgr say. Above the first line of
dashes: for `default-resources` in profiles/slurm/profile.yaml; below it: profiles/slurm/partitions.yaml.""",
        "Exit code: 0, 2 where there is no SLURM.",
        add_no_options,
    ),
}
