#!/usr/bin/env bash
# Snakemake runs this in the new environment, in the folder where the workflow runs. It makes the environment again where this text
# changes, and so with each new lock: envs/gpu.lock, sha256 80a611c4c709f8ce2c9a54dd46cefc0760b1456fd694c907d129703e08047945
set -euo pipefail
python -m pip install -q --no-deps -r envs/gpu.lock
