"""teachergrid: plan, run and explain the grid. Every command takes Snakemake's own options, so that profiles count.

teachergrid run  [OPTIONS]         run to the end, then report over what exists
teachergrid plan [OPTIONS]         which jobs would run, and why; --jsonl for programs
teachergrid why OUTPUT [OPTIONS]   why one file would be made again
"""

import sys


def main() -> None:
    command, *argv = sys.argv[1:] or ["--help"]
    if command == "run":
        from . import run

        sys.exit(run.main(argv))
    if command in ("plan", "why"):
        from . import plan

        sys.exit(plan.main(argv) if command == "plan" else plan.explain(argv))
    print(__doc__.strip())
    sys.exit(0 if command in ("-h", "--help", "help") else 2)


if __name__ == "__main__":
    main()
