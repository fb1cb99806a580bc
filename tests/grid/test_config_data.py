"""What makes training data in the config: derived corpora, stripped teachers, suites that are removed; and their cells."""

import pytest
from teachergrid.errors import BadInput
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
    "a set without itself": (of_a_set, "task 'gsm' of suite 'math' consists of config.instructions.seed"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_name_the_key_and_the_remedy(small, name):
    change, message = BAD[name]
    change(small)
    with pytest.raises(BadInput, match=message):
        checked(small)
