#!/bin/bash
# The main process of a run as a job of its own, where login nodes end long processes:
#
#     sbatch profiles/slurm/main.sh --configfile config/mine.yaml
#
# It needs no GPU, but nodes from which jobs may be submitted. Five minutes before its time limit, whichever that is, it leaves
# the grid's jobs running, and puts itself back into the queue; so it does when its node dies. `scancel` of it cancels the grid's jobs.
#SBATCH --job-name=teachergrid
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=teachergrid-%j.log
# SITE: #SBATCH --account=my-lab --partition=cpu --time=1-00:00:00

.venv/bin/teachergrid run --workflow-profile profiles/slurm --live wait "$@" &
run=$!

again() {
    # two of them leave the jobs running
    kill -INT $run
    sleep 1
    kill -INT $run
    wait $run
    exec scontrol requeue "$SLURM_JOB_ID"
}
trap again USR1
trap 'kill -TERM $run; wait $run; exit 130' TERM

wait $run
