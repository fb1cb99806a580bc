"""The pilot: all teachers answer a few instructions, and metrics of these answers rank the teachers."""


rule pilot:
    """Rank the teachers of a grid for each base by their answers to a sample of the instructions."""
    input:
        responses=collect(
            rules.generate.output.responses, responses=cell("pilot", "responses")
        ),
        health=collect(rules.check.output.health, responses=cell("pilot", "responses")),
        rewards=collect(
            rules.reward.output.rewards,
            reward=cell("pilot", "rewards"),
            responses=cell("pilot", "responses"),
        ),
        chat=collect(
            rules.likelihood.output.chat,
            zip,
            scorer=cell("pilot", "scorers"),
            responses=cell("pilot", "scored"),
        ),
        plain=collect(
            rules.likelihood.output.plain,
            zip,
            scorer=cell("pilot", "scorers"),
            responses=cell("pilot", "scored"),
        ),
        # only where a metric needs them
        distributions=collect(
            rules.likelihood.output.distributions,
            zip,
            scorer=cell("pilot", "expecting"),
            responses=cell("pilot", "scored"),
        ),
    output:
        pilot="<results>/grids/{grid}/pilot.json",
    log:
        "<logs>/pilot/{grid}.log",
    benchmark:
        "<benchmarks>/pilot/{grid}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("pilot"),
    params:
        spec=cell("pilot", "spec"),
    script:
        "../scripts/pilot.py"
