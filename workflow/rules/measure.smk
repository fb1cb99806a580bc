"""Rewards and likelihoods of responses; from these, without a GPU, derived corpora and metrics."""


rule reward:
    """Score one teacher's responses by a reward model or a verifier, or read the rewards published with them."""
    input:
        responses=rules.generate.output.responses,
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("reward", "instructions"),
        ),
        # with rewards that were published beside the responses
        files=cell("reward", "files"),
    output:
        rewards="<results>/rewards/{reward}/{responses}.parquet",
    log:
        "<logs>/reward/{reward}/{responses}.log",
    benchmark:
        "<benchmarks>/reward/{reward}/{responses}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("reward"),
    params:
        spec=cell("reward", "spec"),
    script:
        "../scripts/reward.py"


rule likelihood:
    """Compute log p(A given Q), log p(A) and log p(Q) in both text formats, with one model load."""
    input:
        responses=rules.generate.output.responses,
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("likelihood", "instructions"),
        ),
    output:
        chat="<results>/likelihoods/{scorer}/chat/{responses}.parquet",
        plain="<results>/likelihoods/{scorer}/plain/{responses}.parquet",
        # in both formats, where the config asks for them
        distributions=start.distributions,
    log:
        "<logs>/likelihood/{scorer}/{responses}.log",
    benchmark:
        "<benchmarks>/likelihood/{scorer}/{responses}.jsonl"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needs("likelihood"),
    params:
        spec=cell("likelihood", "spec"),
    script:
        "../scripts/likelihood.py"


rule select:
    """Choose the rows of a derived corpus."""
    input:
        # only where categories or pairs are used
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("select", "instructions"),
        ),
        responses=collect(
            rules.generate.output.responses, responses=cell("select", "responses")
        ),
        rewards=collect(
            rules.reward.output.rewards,
            reward=cell("select", "rewards"),
            responses=cell("select", "responses"),
        ),
        chat=collect(
            rules.likelihood.output.chat,
            scorer=cell("select", "scorers"),
            responses=cell("select", "responses"),
        ),
        plain=collect(
            rules.likelihood.output.plain,
            scorer=cell("select", "scorers"),
            responses=cell("select", "responses"),
        ),
        # only where a metric needs them
        distributions=collect(
            rules.likelihood.output.distributions,
            scorer=cell("select", "expecting"),
            responses=cell("select", "responses"),
        ),
    output:
        corpus="<results>/corpora/{corpus}/{scorer}.parquet",
    log:
        "<logs>/select/{corpus}/{scorer}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("select"),
    params:
        spec=cell("select", "spec"),
    script:
        "../scripts/select_rows.py"


rule metric:
    """Compute the metrics of one corpus for one base, by joining tables of earlier jobs."""
    input:
        corpus=collect(
            rules.select.output.corpus,
            corpus=cell("metric", "derived"),
            scorer=cell("metric", "variant"),
        ),
        instructions=collect(
            rules.load_instructions.output.instructions,
            instructions=cell("metric", "instructions"),
        ),
        responses=collect(
            rules.generate.output.responses, responses=cell("metric", "responses")
        ),
        rewards=collect(
            rules.reward.output.rewards,
            reward=cell("metric", "rewards"),
            responses=cell("metric", "responses"),
        ),
        chat=collect(
            rules.likelihood.output.chat,
            scorer=cell("metric", "scorers"),
            responses=cell("metric", "responses"),
        ),
        plain=collect(
            rules.likelihood.output.plain,
            scorer=cell("metric", "scorers"),
            responses=cell("metric", "responses"),
        ),
        # only where a metric needs them
        distributions=collect(
            rules.likelihood.output.distributions,
            scorer=cell("metric", "expecting"),
            responses=cell("metric", "responses"),
        ),
    output:
        metrics="<results>/metrics/{base}/{corpus}.parquet",
    log:
        "<logs>/metric/{base}/{corpus}.log",
    benchmark:
        "<benchmarks>/metric/{base}/{corpus}.jsonl"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needs("metric"),
    params:
        spec=cell("metric", "spec"),
    script:
        "../scripts/metric.py"
