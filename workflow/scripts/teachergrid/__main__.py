"""teachergrid: plan, run and explain the grid. See `teachergrid --help`."""

import signal
import sys
from argparse import Namespace

from .commands import output, parser
from .errors import BadInput


def main() -> None:
    if sys.argv[1:2] != ["run"]:
        # `teachergrid plan | head` ends quietly; `teachergrid run | head` goes on (see output.Shown)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    output.guard()
    sys.exit(call(sys.argv[1:]))


def call(argv: list[str]) -> int:
    """Run a command and return its exit code: 2 for a mistake in the options."""
    if not argv or argv[0] == "help":
        argv = ["--help"]
    try:
        return execute(*parser.parse(argv))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def execute(options: Namespace, rest: list[str]) -> int:
    """Run the command of parsed options. rest: what is Snakemake's."""
    # a command's module is imported when it is called: some import Snakemake
    match options.command:
        case "run":
            from .commands import run

            return run.main(options, rest)
        case "plan":
            from .commands import plan

            return plan.main(options, rest)
        case "why":
            from .commands import plan

            return plan.explain(options.file, rest)
        case "status":
            from .commands import status

            return status.main(options, rest)
        case "prefetch":
            from .commands import prefetch

            return prefetch.main(options, rest)
    return execute_without_snakemake(options)


def execute_without_snakemake(options: Namespace) -> int:
    """Run a command that has no options of Snakemake's."""
    match options.command:
        case "replicate":
            from .commands import replicate

            return replicate.main(options)
        case "site":
            from .commands import site

            return site.main()
        case "calibrate-judge":
            from .commands import calibrate

            return calibrate.main(options)
        case "next":
            from .commands import next as next_cells

            return next_cells.main(options)
        case "publish":
            from .commands import publish

            return publish.main(options)
    raise AssertionError(options.command)


if __name__ == "__main__":
    main()
