"""What makes training data in the config: derived corpora, stripped teachers, suites that are removed; and their cells."""

from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from workspace import setting


def best(**settings):
    return lambda config: config["corpora"]["best"].update(settings)


def stripped(config, **settings):
    config["teachers"]["plain"] = {"engine": "stripped", "of": "large", **settings}


def of_a_set(config):
    """Task gsm consists of the set that is decontaminated."""
    config["tasks"]["gsm"] = {"instructions": "seed", "checker": {}}
    config["instructions"]["seed"]["decontaminate"] = ["math"]


BAD = {
    "a mix of an unknown metric": (
        best(by={"cars": 1}),
        "config.corpora.best.by: there is no 'cars', did you mean 'car'?",
    ),
    "a metric of whole corpora": (best(by="borrowed"), "'borrowed' .borrowed. has no value of a single response"),
    "no metric": (lambda c: c["corpora"]["best"].pop("by"), "config.corpora.best.by: `choose: best` needs a metric"),
    "a weight of 0": (best(by={"car": 0}), "config.corpora.best.by"),
    "ratios without a draw": (
        best(ratios={"small": 1, "large": 1}),
        "ratios need a random choice; write `choose: random`",
    ),
    "an unknown ratio": (
        best(choose="random", ratios={"smal": 1}),
        "best.ratios: there is no 'smal', did you mean 'small'?",
    ),
    "a ratio too few": (
        best(choose="random", ratios={"small": 1}),
        "best.ratios: there is none for 'large'; state one for each",
    ),
    "share and rows": (best(share=0.5, rows=3), "best: state either `share` or `rows`"),
    "quotas of all": (best(each=["category"]), "best.each: needs `share` or `rows`"),
    "an unknown counter": (best(tokens=9, counted_by="x"), "best.counted_by: there is no 'x'"),
    "tokens that no format counts": (
        lambda c: (best(tokens=9)(c), c.update(likelihood={"formats": ["plain"]})),
        "counted in chat format; add it to config.likelihood.formats",
    ),
    "second try without more room": (
        lambda c: c["teachers"]["small"]["sampling"].update(max_tokens=100, max_tokens_again=100),
        "config.teachers.small.sampling.max_tokens_again: 100 is no more than `max_tokens`, 100",
    ),
    "stripped of nobody": (lambda c: stripped(c, of=None), "engine 'stripped' needs the key 'of'"),
    "stripped of an unknown": (lambda c: stripped(c, of="big"), "config.teachers.plain.of: there is no 'big'"),
    "stripped twice": (
        lambda c: (stripped(c), c["teachers"].update(two={"engine": "stripped", "of": "plain"})),
        "stripped itself",
    ),
    "an unknown suite": (
        setting("instructions", "seed", "decontaminate", to=["maths"]),
        "there is no 'maths', did you mean",
    ),
    "more rows than there are": (
        best(rows=10**6),
        "config.corpora.best.rows: there are .* to choose from at most; lower it",
    ),
    "a sample of more": (
        setting("instructions", "seed", "sample", to=10**6),
        "config.instructions.seed.sample: 1000000 rows cannot be drawn from 'config/seed.jsonl', which has .*lower it",
    ),
    "a folder of part files": (
        setting("instructions", "seed", "source", to="parts.parquet"),
        "config.instructions.seed.source: parts.parquet: is a folder; name one file in it, or join",
    ),
    "a broken file": (
        setting("instructions", "seed", "source", to="broken.json"),
        "config.instructions.seed.source: broken.json, line 1: broken JSON",
    ),
    "braces": (
        setting("instructions", "seed", "source", to="a{b}.jsonl"),
        "config.instructions.seed.source: 'a{b}.jsonl' has braces, which mark wildcards in Snakemake; rename",
    ),
    "braces in prompts": (
        setting("tasks", "gsm", "prompts", to="{a}.jsonl"),
        "config.tasks.gsm.prompts: .* has braces",
    ),
    "broken prompts": (
        setting("tasks", "gsm", "prompts", to="broken.json"),
        "config.tasks.gsm.prompts: broken.json, line 1",
    ),
    "broken responses": (
        setting("teachers", "small", to={"engine": "existing", "source": "broken.json"}),
        "config.teachers.small.source: broken.json, line 1: broken JSON",
    ),
    "a table of another kind": (
        setting("instructions", "seed", "source", to="rows.csv"),
        "config.instructions.seed.source: rows.csv: unknown kind of file '.csv'",
    ),
    "greedy samples": (
        setting("teachers", "small", "sampling", to={"temperature": 0, "samples": 3}),
        "config.teachers.small.sampling.samples: all 3 responses to an instruction would be equal with `temperature: 0`",
    ),
    "samples of the likeliest token": (
        setting("teachers", "small", "sampling", to={"temperature": 1, "top_k": 1, "samples": 2}),
        "config.teachers.small.sampling.samples: all 2 .* with `top_k: 1`; state a higher one, or 0, or `samples: 1`",
    ),
    "greedy samples of a task": (
        setting("tasks", "gsm", "sampling", to={"samples": 2}),
        "config.tasks.gsm.sampling.samples: all 2 responses",
    ),
    "a set without itself": (of_a_set, "task 'gsm' of suite 'math' consists of config.instructions.seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_key_and_the_remedy(small, name):
    change, message = BAD[name]
    Path("parts.parquet").mkdir()
    Path("broken.json").write_text("[{]")
    Path("rows.csv").touch()
    change(small)
    with pytest.raises(BadInput, match=message):
        checked(small)


@pytest.mark.parametrize(
    ("name", "content"),
    [("lines.json", '{"prompt": "a"}\n{"prompt": "b"}\n'), ("list.jsonl", '[{"prompt": "a"},\n{"prompt": "b"}]')],
)
def test_the_plan_counts_what_the_job_reads(small, name, content):
    Path(name).write_text(content)
    small["instructions"]["seed"] |= {"source": name, "sample": None}
    cells = Cells(checked(small))
    assert cells.rows["load_instructions"]["seed"]["rows"] == cells.rows["check"]["seed__small"]["rows"] == 2
    small["instructions"]["seed"]["sample"] = 2
    checked(small)


def test_responses_that_exist_may_have_samples(small):
    Path("there.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    small["teachers"]["small"] = {"engine": "existing", "source": "there.jsonl", "sampling": {"samples": 3}}
    checked(small)
