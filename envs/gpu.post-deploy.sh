#!/usr/bin/env bash
# Snakemake runs this in the new environment, in the folder where the workflow runs. It makes the environment again where this text
# changes, and so with each new lock: envs/gpu.lock, sha256 30adcc55a55d2506812a4c046c3ba2522619cae93fb4d30636158e462c1b58f7
set -euo pipefail
python -m pip install -q --no-deps -r envs/gpu.lock
