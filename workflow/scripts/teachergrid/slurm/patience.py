"""How long a run waits for SLURM, set by environment variables."""

import os
from typing import NamedTuple


class Patience(NamedTuple):
    """How long to wait, in seconds; each is set by the environment variable TEACHERGRID_{NAME}."""

    watch: float = 60  # between two calls of squeue
    # without a live job until a run counts as hung: longer than the plugin's longest sleep (180 s) and the wait for files
    # on a shared file system (60 s)
    hang: float = 600
    grace: float = (
        5  # after Ctrl-C until the cluster's jobs are cancelled, in which a second Ctrl-C leaves them running
    )
    refused: float = 60  # until jobs that sbatch refused are submitted again
    gone: float = 120  # for which cancelled jobs may stay in squeue (KillWait is 30 s by default)
    # for which a job is preempted, or not in the queue, until it counts as lost: SLURM puts a job back at once, if at all
    lost: float = 120
    away: float = 10  # between two looks whether SLURM's controller answers again

    @classmethod
    def of_environment(cls) -> "Patience":
        """Return the values of the environment variables, else the defaults."""
        return cls(
            *(
                float(os.environ.get(f"TEACHERGRID_{name.upper()}") or default)
                for name, default in cls._field_defaults.items()
            )
        )
