"""teachergrid site: print the lines that profiles/slurm needs for this cluster."""

import sys

from ..slurm import scheduler
from ..slurm.site import partitions, preemptible, read_accounts


def main() -> int:
    """Print the lines for both files. Return 2 where there is no SLURM."""
    try:
        nodes = scheduler.ask("sinfo", "--noheader", "--exact", "--format=%R|%l|%m|%G|%D").splitlines()
        preempted = preemptible(scheduler.ask("scontrol", "show", "partition", "--oneliner").splitlines())
    except scheduler.SlurmError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(["default-resources:", *read_accounts(), "# ---", *partitions(nodes, preempted)]))
    return 0
