"""The config is checked before anything runs: every error names the key and the remedy. No model is present."""

import copy
import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.grid.cells import Cells
from teachergrid.grid.config import checked
from teachergrid.hub import needs
from teachergrid.spec import canonical
from workspace import setting


def rename(*path, to):
    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[to] = config.pop(path[-1])

    return change


BAD = {
    "unknown key": (
        rename("teachers", "small", "sampling", to="sampeling"),
        "config.teachers.small: unknown key 'sampeling', did you mean 'sampling'?",
    ),
    "renamed key": (
        setting("tasks", "gsm", "decoding", to={"max_tokens": 5}),
        "config.tasks.gsm.decoding: renamed, write `sampling`",
    ),
    "unknown key at the top": (rename("recipes", to="recipe"), "config: unknown key 'recipe', did you mean 'recipes'?"),
    "unknown key in an inline model": (
        setting("teachers", "new", to={"model": {"repo": "a/b", "revison": "1"}}),
        "unknown key 'revison', did you mean 'revision'?",
    ),
    "ZeRO-3 of 4-bit weights": (
        setting("recipes", "sft", to={"deepspeed": "zero3", "lora": {"quantize": "nf4"}}),
        "config.recipes.sft.lora.quantize: ZeRO-3 cannot divide 4-bit weights; write `deepspeed: zero2`, or null",
    ),
    "an optimizer beside that of DeepSpeed": (
        setting("recipes", "sft", to={"deepspeed": "zero3_offload", "optim": "adafactor"}),
        "config.recipes.sft.optim: zero3_offload has an AdamW of its own",
    ),
    "an unknown recipe": (
        setting("recipes", "sft", to={"like": "moderm"}),
        "config.recipes.sft.like: no recipe has the name 'moderm', did you mean 'modern'?",
    ),
    "a metric of distributions that are not kept": (
        setting("metrics", "lark", to={"formula": "lark"}),
        "config.metrics.lark: needs the scorer's distributions; set `likelihood: {distributions: true}`",
    ),
    "number as text": (setting("recipes", "sft", "learning_rate", to="1e-5"), "YAML reads 1e-5 as text, write 1.0e-5"),
    "bad name": (rename("teachers", "small", to="Small Teacher"), "names are lower-case letters and digits"),
    "double underscore": (rename("teachers", "small", to="a__b"), "names are lower-case letters and digits"),
    "missing key": (lambda c: c["bases"]["q"].pop("template"), "config.bases.q: 'template' is a required property"),
    "unknown model": (setting("bases", "q", "model", to="x9"), "config.bases.q.model: there is no 'x9'; known: small"),
    "derived corpus of an unknown set": (
        setting("corpora", "best", "instructions", to="sed"),
        "config.corpora.best.instructions: there is no 'sed', did you mean 'seed'?",
    ),
    "derived corpus by an unknown metric": (setting("corpora", "best", "by", to="cars"), "did you mean 'car'?"),
    "two revisions": (
        setting("models", "again", to={"repo": "org/q", "revision": "9"}),
        "config.models.again.revision: 'org/q' is also config.models.q with revision sha256-333",
    ),
    "missing file": (
        setting("instructions", "seed", "source", to="config/none.jsonl"),
        "config.instructions.seed.source: there is no file 'config/none.jsonl'",
    ),
    "task with two sources": (
        setting("tasks", "gsm", "instructions", to="seed"),
        "config.tasks.gsm: state either 'prompts' or 'instructions'",
    ),
    "task of an unknown set": (
        setting("tasks", "gsm", to={"instructions": "sed"}),
        "config.tasks.gsm.instructions: there is no 'sed', did you mean 'seed'?",
    ),
    "missing import": (
        setting("teachers", "small", to={"engine": "existing", "source": "config/none.jsonl"}),
        "config.teachers.small.source: there is no file 'config/none.jsonl'",
    ),
    "missing template": (
        setting("bases", "q", "template", to="chat.jinja"),
        "config.bases.q.template: there is no file",
    ),
    "engine without its file": (setting("teachers", "small", "engine", to="existing"), "needs the key 'source'"),
    "model of nothing": (setting("models", "small", to={}), "config.models.small: state either 'repo' or 'api'"),
    "model of two places": (
        setting("models", "small", "api", to="gpt"),
        "config.models.small: state either 'repo' or 'api'",
    ),
    "model without an endpoint": (
        setting("models", "small", to={"api": "gpt"}),
        "config.models.small: 'api' and 'endpoint' go together",
    ),
    "unknown endpoint": (
        setting("models", "small", to={"api": "gpt", "endpoint": "x"}),
        "config.models.small.endpoint: there is no 'x'",
    ),
    "engine of an endpoint with a model of this machine": (
        setting("teachers", "small", "engine", to="openai"),
        "config.teachers.small.model: 'small' has no 'api'",
    ),
    "cap without prices": (
        setting("endpoints", to={"e": {"base_url": "http://x/v1", "cap_usd": 1}}),
        "config.endpoints.e.cap_usd: it needs the prices",
    ),
    "key in place of its name": (
        setting("endpoints", to={"e": {"base_url": "http://x/v1", "key_env": "sk-123"}}),
        "write the name of an environment variable, never the key",
    ),
    "reward of nothing": (setting("rewards", "rm", to={}), "config.rewards.rm: state either 'model' or 'checker'"),
    "reward of two kinds": (
        setting("rewards", "rm", "column", to="score"),
        "config.rewards.rm: state either 'model' or 'checker', or the 'column' of published rewards",
    ),
    "judge by published rewards": (
        setting("rewards", "rm", to={"column": "score"}),
        "config.judges.wins.reward: 'rm' reads published rewards, and answers have none",
    ),
    "name without its column": (
        setting("teachers", "small", "written_by", to="a"),
        "config.teachers.small.written_by: state it together with `fields.teacher`",
    ),
    "hub source of another shape": (
        setting("teachers", "small", to={"engine": "existing", "source": "hub:org"}),
        "config.teachers.small.source: 'hub:org' does not match",
    ),
    "metric without its reward": (
        setting("metrics", "car", to={"formula": "car_mean"}),
        "config.metrics.car.reward: formula 'car_mean' needs a reward; known: rm",
    ),
    "metric of embeddings by another reward": (
        setting("metrics", "car", to={"formula": "embedding_similarity", "reward": "rm"}),
        "config.metrics.car.reward: 'rm' compares no embeddings",
    ),
    "metric of embeddings by a reward that is a distance": (
        lambda config: config.update(
            rewards=config["rewards"] | {"far": {"model": "q", "similarity": {"measure": "nearest"}}},
            metrics=config["metrics"] | {"far": {"formula": "embedding_similarity", "reward": "far"}},
        ),
        "config.metrics.far.formula: the reward 'far' is a distance; its mean is the formula `reward_mean`",
    ),
    "pair of what is not ranked": (
        setting("grids", "teachers", "pairs", to=[["small", "larg"]]),
        "config.grids.teachers.pairs: there is no 'larg', did you mean 'large'?",
    ),
    "pair of one": (
        setting("grids", "teachers", "pairs", to=[["small"]]),
        "config.grids.teachers.pairs.0: ['small'] is too short: a pair has two names",
    ),
    "pair in a grid without students": (
        lambda config: config["grids"]["teachers"].update(
            {
                "recipes": [],
                "seeds": [],
                "suites": [],
                "performance": [],
                "references": [],
                "pairs": [["small", "large"]],
            }
        ),
        "config.grids.teachers.pairs: students are compared, and this grid trains none",
    ),
    "judge that compares responses with each other": (
        setting("rewards", "rm", to={"model": "q", "similarity": {}}),
        "config.judges.wins.reward: 'rm' compares responses with each other",
    ),
    "unknown formula": (
        setting("metrics", "car", "formula", to="cat"),
        "config.metrics.car.formula: 'cat' is not one of",
    ),
    "judge named verify": (rename("judges", "wins", to="verify"), "config.judges.verify: this name is reserved"),
    "reference without its base": (lambda c: c["references"]["q-raw"].pop("base"), "names its base"),
    "scorer with a base's name": (setting("scorers", to={"q": {"model": "q", "template": "own"}}), "config.scorers.q"),
    "negative beta": (
        setting("metrics", "car", "beta", to=[-1]),
        "config.metrics.car.beta.0: -1 is less than the minimum",
    ),
    "an inline model under another's name": (
        setting("teachers", "small", "model", to={"repo": "org/else"}),
        "config.teachers.small.model: config.models has another 'small'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_config(small, name):
    change, words = BAD[name]
    change(small)
    with pytest.raises(BadInput) as error:
        Cells(checked(small))
    assert words in str(error.value)


def served(config):
    config["endpoints"] = {"e": {"base_url": "http://x/v1"}}
    config["models"]["far"] = {"api": "gpt", "endpoint": "e", "gpus": 4, "dtype": "float32"}
    config["teachers"]["far"] = {"model": "far", "engine": "openai", "batch": 3, "shard": 5}
    config["grids"]["teachers"]["teachers"] = ["small", "far"]


def test_only_teachers_are_served_by_endpoints(small):
    served(small)
    small["bases"]["q"]["model"] = "far"
    with pytest.raises(BadInput, match=r"config\.bases\.q\.model: 'far' has no 'repo'"):
        checked(small)


def test_the_spec_of_an_endpoints_model_is_its_name(small):
    served(small)
    row = Cells(checked(small)).rows["generate"]["seed__far"]
    assert json.loads(row["spec"]) == {"model": {"api": "gpt"}, "teacher": {"engine": "openai"}}
    assert row["gpus"] == 0 and row["parameters"] == 0
    # nothing of it comes from the hub
    assert needs.needs({row["spec"]}) == ([], [])


def test_errors_reach_the_user(grid):
    grid.edit(BAD["unknown key"][0])
    text = grid.run("--dry-run", ok=False)
    assert BAD["unknown key"][1] in text and "Traceback" not in text


def test_checking_changes_nothing_that_was_given(small):
    before = copy.deepcopy(small)
    checked(small)
    assert small == before


def test_seeds_follow_from_the_root(small):
    small["instructions"]["seed"]["sample"] = 1
    one, two = (checked({**small, "seed": seed}) for seed in (1, 2))
    for path in (("instructions", "seed", "seed"), ("grids", "teachers", "seed"), ("corpora", "best", "seed")):
        values = []
        for config in (one, two):
            for key in path:
                config = config[key]
            values.append(config)
        assert values[0] != values[1]
    small["grids"]["teachers"]["seed"] = 5
    assert checked(small)["grids"]["teachers"]["seed"] == 5
    # greedy decoding has no noise to seed
    assert one["tasks"]["gsm"]["sampling"]["seed"] is None
    assert one["teachers"]["small"]["sampling"]["seed"] is not None


def test_canonical_spec():
    one = canonical.dump(recipe={"learning_rate": 1.0, "weight_decay": 0, "packing": True})
    assert one == canonical.dump(recipe={"weight_decay": 0, "learning_rate": 1}) == '{"recipe": {"learning_rate": 1}}'
    assert canonical.load(one)["recipe"]["num_train_epochs"] == 2
    assert canonical.dump(recipe={"learning_rate": 1}) != canonical.dump(recipe={"learning_rate": 2})


def test_a_renamed_key_keeps_its_word_in_specs():
    task = {"fields": {}, "sampling": {"max_tokens": 5}}
    text = canonical.dump(tasks={"gsm": task})
    assert text == '{"tasks": {"gsm": {"decoding": {"max_tokens": 5}}}}'
    loaded = canonical.load(text)["tasks"]["gsm"]
    assert loaded["sampling"]["max_tokens"] == 5 and "decoding" not in loaded
