"""teachergrid: plan, run and explain the grid. Every command takes Snakemake's own options, so that profiles count.

teachergrid run      [OPTIONS]   run to the end, then report over what exists; --help for what else it does
teachergrid plan     [OPTIONS]   what would run and why, its cost and its end; budgets, differences, variants: --help
teachergrid why FILE [OPTIONS]   why one file would be made again
teachergrid status   [OPTIONS]   cells by stage and state, what runs where, failures by class with their remedy
teachergrid prefetch [OPTIONS]   fetch every model and data set that the planned jobs need; --pin writes their commits
teachergrid replicate            the first paper's tables through the same statistics; --html FILE writes the page
teachergrid site                 the site's lines of profiles/slurm for the cluster at hand
"""

import signal
import sys
from importlib import import_module

COMMANDS = {
    "run": ("run", "main"),
    "plan": ("plan", "main"),
    "why": ("plan", "explain"),
    "status": ("status", "main"),
    "prefetch": ("prefetch", "main"),
    "replicate": ("replicate", "main"),
    "site": ("site", "main"),
}


def main() -> None:
    command, *argv = sys.argv[1:] or ["--help"]
    if command != "run":
        # `teachergrid plan | head` ends quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if command in COMMANDS:
        module, function = COMMANDS[command]
        sys.exit(getattr(import_module(f".{module}", __package__), function)(argv))
    print(__doc__.strip())
    sys.exit(0 if command in ("-h", "--help", "help") else 2)


if __name__ == "__main__":
    main()
