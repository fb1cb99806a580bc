#!/usr/bin/env bash
# Snakemake runs this in the new environment, in the folder where the workflow runs. It makes the environment again where this text
# changes, and so with each new lock: envs/gpu.lock, sha256 4921a078617cf2a63ccf60df74fe7b9b6adc846e71e29d5d26fad18e5a8a3827
set -euo pipefail
python -m pip install -q --no-deps -r envs/gpu.lock
