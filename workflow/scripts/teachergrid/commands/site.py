"""teachergrid site: print the lines that profiles/slurm needs for this cluster."""

import sys

from ..slurm import scheduler, site
from ..tasks import sandbox


def main() -> int:
    """Print the lines for both files. Return 2 where there is no SLURM."""
    try:
        found, known = site.nodes(), site.read_partitions()
    except scheduler.SlurmError as error:
        print(error, file=sys.stderr)
        return 2
    accounts: list[site.Association] | None
    try:
        accounts, unknown = site.read_associations(), []
    except scheduler.SlurmError as error:
        accounts, unknown = None, [f"  # no accounts known ({error})"]
    profile = site.profile_here()
    heading, *block = site.default_resources(accounts or [], profile)
    lines = ["# profiles/slurm/profile.yaml: in place of the block of this name", heading, *unknown, *block]
    usual = (profile or {}).get("jobs")
    if at_once := site.jobs(accounts or [], site.read_qos(), usual if isinstance(usual, int) else site.JOBS):
        lines += ["# and in place of the line `jobs`", *at_once]
    lines += ["# ---", "# profiles/slurm/partitions.yaml: the whole file"]
    lines += site.partitions(found, site.marks(known, site.this_user(accounts)))
    print("\n".join(lines))
    # of the node that it runs on, and no line of a file: `srun teachergrid site` says it of another node
    print(sandbox.levels(), file=sys.stderr)
    return 0
