"""Students and references answer the suites with one rule; checking and judging load no model under test."""


rule answer:
    """Let one model answer all tasks of a suite with one model load, or read answers that were published."""
    input:
        # empty for a reference, which is not trained
        student=collect(
            rules.finetune.output.student, student=cell("answer", "students")
        ),
        files=cell("answer", "files"),
        prompts=cell("answer", "prompts"),
    output:
        answers="<results>/answers/{model}/{suite}.parquet",
    log:
        "<logs>/answer/{model}/{suite}.log",
    benchmark:
        "<benchmarks>/answer/{model}/{suite}.jsonl"
    # before further students are trained, since a student with all its answers may be freed
    priority: 1
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("answer"),
    params:
        spec=cell("answer", "spec"),
    script:
        "../scripts/answer.py"


rule free:
    """Delete the weights of a student that its recipe does not keep, once it has written all its answers."""
    input:
        answers=collect(
            rules.answer.output.answers,
            model="{student}",
            suite=cell("free", "suites"),
            allow_missing=True,
        ),
        losses=collect(
            "<results>/scores/{student}/{judged}.parquet",
            judged=cell("free", "losses"),
            allow_missing=True,
        ),
    output:
        # student.json is not changed, so nothing is trained again
        freed="<results>/students/{student}/freed.json",
    log:
        "<logs>/free/{student}.log",
    priority: 2
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        spec=cell("free", "spec"),
    script:
        "../scripts/free.py"


rule verify:
    """Check answers against reference answers."""
    input:
        answers=rules.answer.output.answers,
        prompts=cell("verify", "prompts"),
    output:
        scores="<results>/scores/{model}/{suite}/verify.parquet",
    log:
        "<logs>/verify/{model}/{suite}.log",
    benchmark:
        "<benchmarks>/verify/{model}/{suite}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("verify"),
    params:
        spec=cell("verify", "spec"),
    script:
        "../scripts/verify.py"


rule judge:
    """Compare a model's answers with those of the judge's fixed opponent."""
    input:
        answers=rules.answer.output.answers,
        baseline=collect(
            rules.answer.output.answers,
            model=cell("judge", "baselines"),
            suite=cell("judge", "suites"),
        ),
        prompts=cell("judge", "prompts"),
    output:
        scores="<results>/scores/{model}/{suite}/{judge}.parquet",
    log:
        "<logs>/judge/{model}/{suite}/{judge}.log",
    benchmark:
        "<benchmarks>/judge/{model}/{suite}/{judge}.jsonl"
    wildcard_constraints:
        judge=config_data.pattern(config, "judge"),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("judge"),
    params:
        spec=cell("judge", "spec"),
    script:
        "../scripts/judge.py"


rule loss:
    """Compute how likely a model finds the reference answers of a suite, such as held-out responses."""
    input:
        # empty for a reference, which is not trained
        student=collect(rules.finetune.output.student, student=cell("loss", "students")),
        prompts=cell("loss", "prompts"),
    output:
        scores="<results>/scores/{model}/{suite}/{judge}.parquet",
    log:
        "<logs>/loss/{model}/{suite}/{judge}.log",
    benchmark:
        "<benchmarks>/loss/{model}/{suite}/{judge}.jsonl"
    wildcard_constraints:
        judge=config_data.pattern(config, "loss"),
    # as `answer`
    priority: 1
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("loss"),
    params:
        spec=cell("loss", "spec"),
    script:
        "../scripts/loss.py"


rule ask:
    """Ask a language model for verdicts on a model's answers. What it says is paid for, and kept as it is."""
    input:
        answers=rules.answer.output.answers,
        baseline=collect(
            rules.answer.output.answers,
            model=cell("ask", "baselines"),
            suite=cell("ask", "suites"),
        ),
        prompts=cell("ask", "prompts"),
    output:
        verdicts="<results>/verdicts/{model}/{suite}/{judge}.parquet",
    log:
        "<logs>/ask/{model}/{suite}/{judge}.log",
    benchmark:
        "<benchmarks>/ask/{model}/{suite}/{judge}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("ask"),
    params:
        spec=cell("ask", "spec"),
    script:
        "../scripts/ask.py"


rule score:
    """Read what a language model said about a model's answers, as it is or with length or style held fixed. It asks nobody."""
    input:
        verdicts=collect(
            rules.ask.output.verdicts,
            judge=cell("score", "asked"),
            allow_missing=True,
        ),
        answers=rules.answer.output.answers,
        baseline=collect(
            rules.answer.output.answers,
            model=cell("score", "baselines"),
            suite=cell("score", "suites"),
        ),
        files=cell("score", "files"),
        prompts=cell("score", "prompts"),
    output:
        scores="<results>/scores/{model}/{suite}/{judge}.parquet",
    log:
        "<logs>/score/{model}/{suite}/{judge}.log",
    benchmark:
        "<benchmarks>/score/{model}/{suite}/{judge}.jsonl"
    wildcard_constraints:
        judge=config_data.pattern(config, "score"),
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("score"),
    params:
        spec=cell("score", "spec"),
    script:
        "../scripts/score.py"
