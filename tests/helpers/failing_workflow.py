"""A workflow of four rules without models: one job works, one fails, one waits for it, one ignores Ctrl-C."""

import sys
from pathlib import Path

WORKFLOW = """
rule all:
    input: "fine.txt", "late.txt"
rule fine:
    output: "fine.txt"
    resources: gpu=2
    benchmark: "fine.jsonl"
    shell: "touch {output}"
rule broken:
    output: "{name}.broken"
    log: "{name}.log"
    shell: "PYTHON broken.py"
rule late:
    input: "one.broken"
    output: "late.txt"
    shell: "touch {output}"
rule stubborn:
    output: "never"
    shell: "trap '' INT; echo $$ > pid; while true; do sleep 0.1; done"
"""


# as a job of the grid ends with bad input
BROKEN = """
from teachergrid.job import failures
failures.write("results", failures.Record("broken", "one", *failures.of_message("no such key"), exception="BadInput"))
exit(1)
"""


def write(folder: Path) -> None:
    """Write the Snakefile and the script of the rule that fails."""
    (folder / "Snakefile").write_text(WORKFLOW.replace("PYTHON", sys.executable))
    (folder / "broken.py").write_text(BROKEN)
