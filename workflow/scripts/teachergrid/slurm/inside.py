"""The Snakemake inside a job of the cluster: python -m teachergrid.slurm.inside, in place of python -m snakemake.

Snakemake loads every executor plugin that is installed, and the one for SLURM asks the controller for its whole configuration
while it is imported: twice a job, from the compute nodes. Inside a job only the executor of job steps is needed. (`run.plugin` puts
this module into the commands of jobs.)

SLURM sends SIGNAL to all processes of a job some time before its limit. It ends none of them, and a training saves a checkpoint.
"""

import os
import runpy
import signal
import sys
from typing import Any

SIGNAL = signal.SIGUSR1
CONTAINER = "TEACHERGRID_CONTAINER"  # environment variable: the words before a command that run it in a container
PLAIN, OURS = " -m snakemake ", " -m teachergrid.slurm.inside "


def command(snakemake: str) -> str:
    """Return the command of an inner Snakemake with this module in place of Snakemake's. Raises ValueError for another command."""
    if snakemake.count(PLAIN) != 1:
        raise ValueError(f"not a call of Snakemake: {snakemake}")
    return snakemake.replace(PLAIN, OURS)


def only_job_steps() -> None:
    """Let Snakemake know its own executors and that of job steps, and no other plugin."""
    import snakemake_executor_plugin_slurm_jobstep as jobstep
    from snakemake_interface_common.plugin_registry import PluginRegistryBase
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    class Executor(jobstep.Executor):
        """Starts the job's work by `srun`: another Snakemake, in a container where the site has one."""

        def format_job_exec(self, job: Any) -> str:
            return f"{os.environ.get(CONTAINER, '')} {command(super().format_job_exec(job))}".strip()

    collect = PluginRegistryBase.collect_plugins

    def collect_plugins(registry: PluginRegistryBase) -> None:
        if not isinstance(registry, ExecutorPluginRegistry):
            collect(registry)
            return
        registry.plugins = {}
        registry.register_plugin(jobstep.__name__, jobstep)

    jobstep.Executor = Executor
    PluginRegistryBase.collect_plugins = collect_plugins


def main() -> None:
    """Run Snakemake with the options of this command line."""
    signal.signal(SIGNAL, signal.SIG_IGN)  # what it starts inherits this, until it asks for the signal itself
    # a profile of the user may have options of plugins that are not there; the command line states all that counts
    os.environ.pop("SNAKEMAKE_PROFILE", None)
    only_job_steps()
    sys.argv[0] = "snakemake"
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
