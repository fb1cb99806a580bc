"""Which model should teach yours? Every teacher answers, every base learns, every student is examined."""

from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


# another config (--configfile) replaces the demo's; by itself Snakemake would merge the two
if not workflow.configfiles:

    configfile: "config/config.yaml"


pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",


include: "workflow/rules/common.smk"
include: "workflow/rules/teach.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/pilot.smk"
include: "workflow/rules/report.smk"


# after all rules: a job on SLURM asks for no more than a partition has
limits.hold(workflow, cells)


rule all:
    default_target: True
    input:
        collect(rules.pilot.output.pilot, grid=phases.waiting(cells)),
        collect(rules.report.output.report, grid=cells.rows["report"]),
        collect(rules.free.output.freed, student=cells.rows["free"]),
