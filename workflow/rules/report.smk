"""Compare metrics with scores: tables, a recommendation and one report for each grid block."""


rule correlate:
    """Rank the teachers, test which metrics predict the ranking, and recommend; with `partial` from the results that exist."""
    input:
        metrics=inputs.existing(
            collect(
                rules.metric.output.metrics,
                zip,
                base=cell("correlate", "bases"),
                corpus=cell("correlate", "corpora"),
            ),
            only_made=config["partial"],
        ),
        verified=inputs.existing(
            collect(
                rules.verify.output.scores,
                model=cell("correlate", "models"),
                suite=cell("correlate", "verified"),
            ),
            only_made=config["partial"],
        ),
        judged=inputs.existing(
            collect(
                rules.judge.output.scores,
                zip,
                model=cell("correlate", "judged_models"),
                suite=cell("correlate", "judged_suites"),
                judge=cell("correlate", "judges"),
            ),
            only_made=config["partial"],
        ),
        students=inputs.existing(
            collect(
                rules.finetune.output.student, student=cell("correlate", "students")
            ),
            only_made=config["partial"],
        ),
        health=inputs.existing(
            collect(
                rules.check.output.health, responses=cell("correlate", "responses")
            ),
            only_made=config["partial"],
        ),
        # which rows derived corpora have in common
        chosen=inputs.existing(
            collect(
                rules.select.output.corpus,
                zip,
                corpus=cell("correlate", "derived"),
                scorer=cell("correlate", "variants"),
            ),
            only_made=config["partial"],
        ),
    output:
        metrics="<results>/grids/{grid}/metrics.parquet",
        performance="<results>/grids/{grid}/performance.parquet",
        correlations="<results>/grids/{grid}/correlations.parquet",
        effects="<results>/grids/{grid}/effects.parquet",
        lineage="<results>/grids/{grid}/lineage.parquet",
        recommendation="<results>/grids/{grid}/recommendation.yaml",
    log:
        "<logs>/correlate/{grid}.log",
    benchmark:
        "<benchmarks>/correlate/{grid}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("correlate"),
    params:
        spec=cell("correlate", "spec"),
    script:
        "../scripts/correlate.py"


rule report:
    """Write the one page that answers the question of a grid."""
    input:
        tables=rules.correlate.output,
        instructions=inputs.existing(
            collect(
                rules.load_instructions.output.instructions,
                instructions=cell("report", "instructions"),
            ),
            only_made=config["partial"],
        ),
        # in which a model says how hard the instructions are
        graded=inputs.existing(
            collect(
                rules.load_instructions.output.instructions,
                instructions=cell("report", "graded"),
            ),
            only_made=config["partial"],
        ),
        responses=inputs.existing(
            collect(
                rules.generate.output.responses, responses=cell("report", "responses")
            ),
            only_made=config["partial"],
        ),
        rewards=inputs.existing(
            collect(
                rules.reward.output.rewards,
                reward=cell("report", "rewards"),
                responses=cell("report", "responses"),
            ),
            only_made=config["partial"],
        ),
        health=inputs.existing(
            collect(rules.check.output.health, responses=cell("report", "responses")),
            only_made=config["partial"],
        ),
        answers=inputs.existing(
            collect(
                rules.answer.output.answers,
                model=cell("report", "models"),
                suite=cell("report", "suites"),
            ),
            only_made=config["partial"],
        ),
        verified=inputs.existing(
            collect(
                rules.verify.output.scores,
                model=cell("report", "models"),
                suite=cell("report", "verified"),
            ),
            only_made=config["partial"],
        ),
        # of all seeds, which show how far the judges can be trusted
        judged=inputs.existing(
            collect(
                rules.judge.output.scores,
                zip,
                model=cell("report", "judged_models"),
                suite=cell("report", "judged_suites"),
                judge=cell("report", "judges"),
            ),
            only_made=config["partial"],
        ),
        prompts=cell("report", "prompts"),
        pilots=inputs.existing(
            collect(rules.pilot.output.pilot, grid=cell("report", "pilots")),
            only_made=config["partial"],
        ),
        # of grids that train all students, which show what the pilot loses
        complete=inputs.existing(
            collect(
                rules.correlate.output.performance, grid=cell("report", "complete")
            ),
            only_made=config["partial"],
        ),
    output:
        report=report(
            "<results>/grids/{grid}/report.html",
            caption="../report/grid.rst",
            category="Which teacher",
            labels={"grid": "{grid}"},
        ),
        contamination="<results>/grids/{grid}/contamination.parquet",
    log:
        "<logs>/report/{grid}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("report"),
    params:
        spec=cell("report", "spec"),
    script:
        "../scripts/report.py"
