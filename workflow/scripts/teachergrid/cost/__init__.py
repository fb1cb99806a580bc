"""What a job needs: work, throughput, memory, disk, machines, and the resources that Snakemake asks for.

Imports: hub, slurm, spec, store.
"""
