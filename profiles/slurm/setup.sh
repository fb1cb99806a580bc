# SITE (3 of 3): lines that each job runs before its work starts, in the shell of its batch script (sh), on the compute node. All that
# they export reaches the work. They change no result's identity: nothing is made again because of them.

# what the site's modules or the network need
# . /etc/profile.d/modules.sh && module load cuda/12.4
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
# export https_proxy=http://proxy:3128

# temporary files and compile caches on the node's own disk, where the shared one is slow
# export TMPDIR=/scratch/$USER/$SLURM_JOB_ID && mkdir -p "$TMPDIR" && export TEACHERGRID_CACHE=$TMPDIR

# a container for the work of a job, where the nodes lack what the environment needs: the words before a command that run it there.
# It must show this folder, the environment, the models and the results under their own paths, and keep the environment variables.
# export TEACHERGRID_CONTAINER="apptainer exec --nv --bind $PWD /shared/images/cuda12.sif"
# export TEACHERGRID_CONTAINER="ch-run --cd $PWD --bind $PWD /shared/images/cuda12 --"
