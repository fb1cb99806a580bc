"""The command line: one parser with a subcommand for each command, and a line of help for each of our options.

All other options are passed on unchanged to Snakemake's own parser. No heavy package is imported here, so that `--help` answers
at once.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from ..errors import BadInput
from ..planning.options import PROBE_SECONDS
from ..spec.spelling import nearest
from . import few_options as few
from .arguments import Parser, refuse_mistyped

LIVE = ("refuse", "wait", "cancel")
WITHOUT_SNAKEMAKE = ("replicate", "site", "calibrate-judge", "next", "publish")
SNAKEMAKE = "Snakemake's own options, targets and profiles work here too: see snakemake --help."


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return our options, including `command`, and the remaining arguments for Snakemake in their order.

    Raises BadInput for a mistake in our options, such as a mistyped name, and SystemExit(0) after --help.
    """
    commands = build()
    refuse_other_command(argv)
    options, rest = commands.parse_known_args(argv)
    command = options.parser
    del options.parser
    if options.command == "why" and options.file != argv[1]:
        command.error("the file or cell must come first, then Snakemake's options")
    if rest and options.command in WITHOUT_SNAKEMAKE:
        command.error(f"unrecognized arguments: {' '.join(rest)}{nearest(rest[0], command.option_names())}")
    refuse_mistyped(rest, command)
    return options, rest


def refuse_other_command(argv: list[str]) -> None:
    """Raise BadInput where the first word is no command."""
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        choices = ", ".join(map(repr, COMMANDS))
        raise BadInput(f"there is no command '{argv[0]}' (choose from {choices}){nearest(argv[0], COMMANDS)}")


# --- the commands


def build() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="teachergrid",
        description="Plan, run and explain the grid. Every command that reads the grid also takes Snakemake's own options.",
        epilog="teachergrid COMMAND --help lists the options of a command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        epilog = about.epilog if name in WITHOUT_SNAKEMAKE else f"{SNAKEMAKE}\n\n{about.epilog}".strip()
        command = commands.add_parser(name, help=about.summary, description=about.description, epilog=epilog)
        command.set_defaults(parser=command)
        about.add_options(command)
    return parser


def add_run_options(parser: Parser) -> None:
    """Add the options of `run`."""
    add = parser.add_argument
    add(
        "--live",
        default=LIVE[0],
        choices=LIVE,
        help="what to do if jobs of an earlier run in this folder are alive on the cluster: do not start (the default), wait for "
        "them and keep what they finish, or cancel them (only your own) and continue from what they saved",
    )
    add(
        "--take-over",
        action="store_true",
        help="free the lock of another user's dead run although its jobs cannot be seen here; only after that user has said that "
        "none is alive",
    )
    plan = "only run exactly this plan (jobs, GPUs, contents of files): its hash, or a file of `plan --json`"
    add("--plan", metavar="HASH|FILE", help=plan)
    notify = (
        "shell command to run at the end; it reads the summary, and TEACHERGRID_EXIT_CODE: 'mail -s grid me@lab.org'"
    )
    add("--notify", metavar="CMD", help=notify)
    add_bounds(
        parser, "do not start if the plan is expected to take more; stop, as by Ctrl-C, when the run reaches the limit"
    )
    add_machines(parser)


def add_plan_options(parser: Parser) -> None:
    """Add the options of `plan`."""
    add = parser.add_argument
    add_machines(parser)
    add("--details", action="store_true", help="list every job with its reason, time and machine")
    add("--why", metavar="FILE|CELL", help="explain why one result would be made again")
    add("--json", action="store_true", help="print the plan as JSON (workflow/schemas/plan.schema.json)")
    add("--jsonl", action="store_true", help="print a line of JSON for each job, without costs")
    add("--html", metavar="FILE", help="write the plan as a page, with a Gantt chart")
    add(
        "--diff",
        metavar="PLAN",
        help="show what changed since an earlier plan: a file of --json, a plan's hash, `last`, or a git revision of the config",
    )
    add(
        "--what-if",
        action="append",
        default=[],
        metavar="CHANGE",
        help="compare with a variant of the grid; may be given several times; `--what-if list` lists the possible changes",
    )
    add_bounds(
        parser,
        "refuse a plan that takes more, with a pilot in both phases: exit code 3, with the smallest cuts that would fit",
    )
    add("--fit-budget", action="store_true", help="with a limit: print config lines that keep as much as fits")
    add(
        "--probe",
        action="store_true",
        help="for better estimates, first run a few rows of each kind of job (stage, model, settings) that was never measured, on "
        "this machine: on its GPUs, or on its CPUs where the plan uses only CPUs (--cluster cpu=8)",
    )
    limit = "time limit of one probe in seconds (%(default)g)"
    add("--probe-seconds", type=float, default=PROBE_SECONDS, metavar="S", help=limit)
    add("--older", metavar="RULE", help="only list the files of a rule that were made by older code")


def add_machines(parser: Parser) -> None:
    """Add the options about the machines of a plan."""
    add = parser.add_argument
    add(
        "--cluster",
        metavar="POOLS",
        help="plan for these GPUs and CPUs, such as h100=16,a100=32@48h,cpu=128 (@48h: time limit of jobs there); by default for "
        "the partitions of a SLURM profile, or for this machine. With CPUs only, every job is planned on CPUs",
    )
    gpu = "GPU type to plan with where a job may run on several, or the cluster does not name its types"
    add("--gpu", metavar="TYPE", help=gpu)
    add("--machines", metavar="FILE", help="your GPU types and prices, which override config/machines.yaml")
    add("--start-delay", type=float, metavar="S", help="seconds from submission to start of a job (60 on a cluster)")


def add_bounds(parser: Parser, effect: str) -> None:
    """Add the limits of a plan. effect: what happens when one is exceeded."""
    bounds = parser.add_argument_group("limits", description=effect)
    bounds.add_argument("--max-gpu-hours", type=float, metavar="N", help="GPU-hours")
    bounds.add_argument(
        "--max-usd",
        type=float,
        metavar="N",
        help="US dollars, by the prices in config/machines.yaml and of endpoints; during a run, those that endpoints cost",
    )
    bounds.add_argument(
        "--deadline",
        metavar="WHEN",
        help="hours (48h), days (3d) or a date (2026-05-01T18:00, or with a zone 2026-05-01T18:00+02:00)",
    )


def add_why_options(parser: Parser) -> None:
    """Add the arguments of `why`."""
    parser.add_argument("file", metavar="FILE|CELL", help="an output, or a cell such as 'generate seed__large'")


class Command(NamedTuple):
    """One command. summary: its line in the list of commands. description, epilog: before and after the options in its help."""

    summary: str
    description: str
    epilog: str
    add_options: Callable[[Parser], None]


COMMANDS: dict[str, Command] = {
    "run": Command(
        "run the grid to its end, then write the report",
        """\
Run the grid to its end with Snakemake, on a cluster or on one machine. It refuses to start while another run, or jobs of a
killed run (of whichever user), are or may be alive; and it goes on when a cell fails: the report is then made from the results
that exist. The log is results/logs/run.log, the summary results/run.json.""",
        """\
Ctrl-C            stop: jobs are cancelled, finished results and saved work are kept; the same command continues
Ctrl-C twice      stop, and leave the cluster's jobs running; `teachergrid run --live wait` takes them over again
closed terminal   the run continues without it; kill -TERM is like one Ctrl-C

Environment variables, in seconds: TEACHERGRID_WATCH between two calls of squeue (60), _HANG without a live job until a run
counts as hung (600), _GRACE for a second Ctrl-C (5), _REFUSED until jobs that sbatch refused are submitted again (60), _GONE
for cancelled jobs to end (120), _LOST until a job that is preempted or gone counts as lost (120), _AWAY between two looks
whether SLURM's controller answers again (10).

Exit code: 0 all done; 1 some cells failed or could not be run; 2 not started; 3 over budget: not started, or stopped;
130 stopped, jobs cancelled; 131 stopped, jobs left running.""",
        add_run_options,
    ),
    "plan": Command(
        "what would run and why, what it costs and when it ends; budgets, differences, variants",
        "Show what a run would do, why, what it would cost and when it would end. No job runs.",
        """\
Results of GPU work are not made again because our code changed, such as by a bug fix. The plan counts results of older code
and prints the command that makes them again; you decide. Exit code: 0; 2 mistake in options or config; 3 over budget.""",
        add_plan_options,
    ),
    "why": Command(
        "why one file would be made again",
        "Explain why one output would be made again, or whether older code made it. The file or cell comes first.",
        "",
        add_why_options,
    ),
    "status": Command(
        "the state of the grid: cells by stage, what runs where, failures with their remedies",
        """\
Show the state of the grid: cells by stage and state, what runs where, failures by class, time left, GPU-hours, disk. It only
reads, so it can be used while a run is alive.""",
        "`teachergrid plan` also compares the inputs' contents, and says what a run would do and why.",
        few.add_status_options,
    ),
    "prefetch": Command(
        "fetch every model and data set that the planned jobs need; --pin records their commits",
        """\
Fetch what the planned jobs need from the hub, on a machine with a network; jobs can then run with HF_HUB_OFFLINE=1. Only what
remaining jobs need is fetched, and of a model only the files that are loaded. Official prompts of judges come from GitHub.""",
        "Exit code: 0 nothing is missing; 1 something is missing (listed with its remedy); 2 not started.",
        few.add_prefetch_options,
    ),
    "replicate": Command(
        "recompute two papers' results from their tables; --html FILE writes a page",
        """\
Recompute the results of two papers from their own tables, with the functions that also make a grid's tables, and show which are
reproduced: Xu et al. 2025 (which teacher) and Hui et al. 2024 (which evolver). It also says what these tables do not show, and lists
printed numbers that cannot be right. Exit code: 1 if a number is not reproduced within its printed rounding.""",
        "",
        few.add_replicate_options,
    ),
    "site": Command(
        "print the lines that profiles/slurm needs for this cluster",
        """\
Print the lines that profiles/slurm needs for this cluster, from the output of sinfo, scontrol and sacctmgr. Lines above the dashes
take the place of `default-resources` in profiles/slurm/profile.yaml, those below them are profiles/slurm/partitions.yaml.
On the standard error it says which guards for programs of models (HumanEval, MBPP) hold on the node that it runs on.""",
        "Exit code: 0, 2 where there is no SLURM.",
        few.add_no_options,
    ),
    "calibrate-judge": Command(
        "how far judges can be trusted, from their stored verdicts",
        """\
Print what the stored verdicts say of each judge: how many are missing and why, how often the order of the answers changes the winner, how
often the longer answer wins, the cost; and how each two judges of a suite agree. Nobody is asked. A report says it of its own judges.""",
        "Exit code: 0, 2 where no judge has judged.",
        few.add_calibrate_options,
    ),
    "next": Command(
        "what would make the choice of a teacher better, for the hours it takes: seeds, teachers, items, responses",
        """\
List what makes the choice of a teacher better, per hour of GPU (or of job, without one): one more seed of a cell, as lines for the grid's
`include`, one more teacher, more items or responses; then which teachers none beats for as little. It reads finished grids; nothing runs.""",
        "Exit code: 0, 2 where no grid has a summary.",
        few.add_next_options,
    ),
    "publish": Command(
        "a student with its model card: as a folder, or on the hub",
        """\
Print the model card of a student, with what it was made from and under which terms, and list its files. With --to they are written, with
--push sent to the Hugging Face hub. Nothing is ever sent without --push.""",
        "Exit code: 0; 2 where there is no such student, its weights were freed, or it could not be sent.",
        few.add_publish_options,
    ),
}
