"""From instructions to the responses of every teacher, their health checks, and the gate before any SFT."""


rule load_instructions:
    """Read, normalise, de-duplicate and sample one set of instructions, or make it from others: evolved, joined."""
    input:
        files=cell("load_instructions", "files"),
        # prompts of the suites that are removed from the set
        prompts=cell("load_instructions", "prompts"),
        # what an evolved or joined set is made from
        sets=cell("load_instructions", "sets"),
        responses=cell("load_instructions", "responses"),
        tables=cell("load_instructions", "tables"),
    output:
        instructions="<results>/instructions/{instructions}.parquet",
    log:
        "<logs>/load_instructions/{instructions}.log",
    benchmark:
        "<benchmarks>/load_instructions/{instructions}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("load_instructions"),
    params:
        spec=cell("load_instructions", "spec"),
    script:
        "../scripts/load_instructions.py"


rule generate:
    """Let one teacher answer one set of instructions, shard by shard."""
    input:
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("generate", "instructions"),
        ),
        files=cell("generate", "files"),
    output:
        responses="<results>/responses/{responses}.parquet",
    log:
        "<logs>/generate/{responses}.log",
    benchmark:
        "<benchmarks>/generate/{responses}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("generate"),
    params:
        spec=cell("generate", "spec"),
    script:
        "../scripts/generate.py"


rule optimise:
    """Let a model improve the method by which it evolves instructions (Auto Evol-Instruct)."""
    input:
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("optimise", "instructions"),
        ),
    output:
        method="<results>/methods/{evolution}.json",
    log:
        "<logs>/optimise/{evolution}.log",
    benchmark:
        "<benchmarks>/optimise/{evolution}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("optimise"),
    params:
        spec=cell("optimise", "spec"),
    script:
        "../scripts/optimise.py"


rule check:
    """Count what is wrong with a teacher's responses: truncated, empty, refused, caught in a loop ..."""
    input:
        responses=rules.generate.output.responses,
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("check", "instructions"),
        ),
    output:
        health="<results>/health/{responses}.parquet",
    log:
        "<logs>/check/{responses}.log",
    benchmark:
        "<benchmarks>/check/{responses}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("check"),
    params:
        spec=cell("check", "spec"),
    script:
        "../scripts/check.py"


rule gate:
    """Stop before students are trained on a broken teacher; the health table remains for the report."""
    input:
        health=rules.check.output.health,
    output:
        passed="<results>/health/{responses}.passed",
    log:
        "<logs>/gate/{responses}.log",
    # it reads one small file
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=cell("gate", "spec"),
    script:
        "../scripts/gate.py"
