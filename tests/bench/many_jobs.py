"""What thousands of jobs cost the main process: memory and CPU of Snakemake with profiles/slurm on a real SLURM.

    python tests/cluster/many_jobs.py 2000        as root, beside a cluster of tests/cluster/cluster.py

The jobs are SLURM jobs that do nothing: in a job, the Python that runs Snakemake is a shell script that writes the output.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAKEFILE = """\
rule all:
    input:
        collect("out/{{i}}.txt", i=range({n})),


rule nothing:
    output:
        "out/{{i}}.txt",
    shell:
        "touch {{output}}"
"""
# target-jobs is `nothing:i=17`
PYTHON = """\
#!/bin/bash
if [ -n "$SLURM_JOB_ID" ]; then
    while [ "$1" != --target-jobs ]; do shift; done
    mkdir -p out
    exec touch "out/${{2#nothing:i=}}.txt"
fi
exec -a "$0" {python} "$@"
"""


def main(n: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(SNAKEFILE.format(n=n))
        (folder / "profiles").symlink_to(ROOT / "profiles")
        python = folder / "python"
        python.write_text(PYTHON.format(python=sys.executable))
        python.chmod(0o755)
        env = os.environ | {"PYTHONPATH": next(path for path in sys.path if path.endswith("site-packages"))}
        command = [str(python), "-m", "snakemake", "--workflow-profile", "profiles/slurm", "--quiet", "all"]
        start = time.monotonic()
        code = subprocess.run(command, cwd=folder, env=env).returncode
        made = len(list(folder.glob("out/*.txt")))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"exit {code}, {made} of {n} jobs in {time.monotonic() - start:.0f} s; main process and its sbatch and squeue: "
            f"{used.ru_utime + used.ru_stime:.1f} s CPU, {used.ru_maxrss / 1000:.0f} MB at most"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
