"""Each base learns from each corpus."""


rule finetune:
    """Fine-tune one base on one corpus with one recipe and seed."""
    input:
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("finetune", "instructions"),
        ),
        # all responses of a teacher are a corpus as they are; a derived corpus selects rows of them
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
        # weights and training log are next to it but not declared as outputs, so that deleting them retrains nothing
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
