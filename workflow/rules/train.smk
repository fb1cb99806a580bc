"""Each base learns from each corpus."""


rule finetune:
    """Fine-tune one base on one corpus with one recipe and seed."""
    input:
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("finetune", "instructions"),
        ),
        # a whole teacher's responses are a corpus as they are; a derived corpus names rows of them
        responses=collect(
            rules.generate.output.responses, responses=cell("finetune", "responses")
        ),
        corpus=collect(
            rules.select.output.corpus,
            corpus=cell("finetune", "derived"),
            scorer=cell("finetune", "variant"),
        ),
        gates=collect(rules.gate.output.passed, responses=cell("finetune", "gates")),
    output:
        # weights and training log lie beside it, undeclared: freeing their space retrains nothing
        student="<results>/students/{student}/student.json",
    log:
        "<logs>/finetune/{student}.log",
    benchmark:
        "<benchmarks>/finetune/{student}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("finetune"),
    params:
        spec=cell("finetune", "spec"),
    script:
        "../scripts/finetune.py"
