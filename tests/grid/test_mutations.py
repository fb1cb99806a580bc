"""What the check of the config accepts, the grid can build; all else is refused in words. Over every key of the schema."""

import json
from collections import Counter
from itertools import islice
from pathlib import Path

import mutations
import pytest
import yaml

# each kind of entry, with most of its keys
EVERY_KIND = """
models: {a: {repo: org/a, revision: 0123456789abcdef0123456789abcdef01234567, gpus: 1, parent: b}, b: {repo: org/b}, far: {api: gpt-4o, endpoint: there}}
endpoints: {there: {base_url: "http://there/v1", usd_in: 1, usd_out: 2, token_limit: max_tokens}}
instructions: {seed: {source: config/seed.jsonl, fields: {answer: answer}, rows: 9, sample: 8, decontaminate: [math]}, both: {join: [seed, wiz.r1], paired_with: [wiz.r1]}}
evolutions:
  rules: {of: seed, by: t, method: autoif, autoif: {calls: 1, crosscheck: {rule: code}}}
  back: {of: seed, by: t, method: crab, crab: {responses: e}}
  auto: {of: seed, by: t, method: auto-evol, optimise: {steps: 1, batch: 1, dev: 1, candidates: 1, rounds: 1}}
  wiz: {of: seed, by: t, rounds: 1, operators: [deepen], equal_by: f, eliminate: [equal], prompts: evol-instruct.1}
teachers:
  t: {model: a, sampling: {temperature: 1, samples: 2}, sweep: {temperature: [0.5], top_p: [0.9], top_k: [7]}, template_args: {enable_thinking: false}}
  s: {engine: stripped, of: t}
  f: {engine: openai, model: far}
  e: {engine: existing, source: config/seed.jsonl, fields: {response: answer}}
bases: {q: {model: b, template: own, system: Be brief.}}
references:
  raw: {model: b, base: q, role: untuned}
  told: {engine: existing, source: config/seed.jsonl, fields: {response: answer}, by_category: {x: config/seed.jsonl}, allow_missing: true}
scorers: {other: {model: a, template: own}}
recipes: {sft: {learning_rate: 1.0e-5, keep: adapter, lora: {r: 8}}}
rewards:
  rm: {model: a}
  rater: {model: a, rating: {prompt: "{response}", numbers: [1, 2]}}
  alike: {model: a, similarity: {}}
  right: {checker: {compare: number}}
corpora:
  best: {instructions: seed, teachers: [t, e], by: {car: 1}, share: 0.5}
  drawn: {instructions: seed, teachers: [t, e], choose: random, ratios: {t: 1, e: 2}, tokens: 100}
  good: {instructions: seed, teachers: [t], choose: all, least: {car: 1}, pairs: {by: car}}
tasks:
  gsm: {prompts: config/gsm.jsonl, checker: {compare: number}, sampling: {max_tokens: 5}}
  sums:
    prompts: config/gsm.jsonl
    fields: {answer: {columns: [answer]}}
    chat: {prompt: "{question}", shots: 1, stop: [x]}
    shots: {examples: [{question: a, answer: b}]}
suites: {math: {tasks: [gsm, sums], judges: [wins, beats, says]}, held: {tasks: [gsm], judges: [fits]}}
judges:
  wins: {reward: rm, baseline: raw}
  beats: {reward: rm, baseline: told}
  fits: {loss: answers}
  says: {model: b, engine: transformers, protocol: pairwise, baseline: raw, template_args: {enable_thinking: false}, batch: 2}
metrics:
  car: {formula: car_mean, reward: rm, beta: [1, 2]}
  own: {expression: reward_mean - nll_mean, best: highest, reward: rm, scorer: other}
  above: {formula: reward_share, reward: rm, threshold: [0]}
  spread: {formula: embedding_similarity, reward: alike}
health: {gates: {empty: 0.1}}
likelihood: {subset: 4}
grids:
  first:
    compare: teacher
    instructions: [seed]
    teachers: all
    corpora: [best, drawn, good]
    bases: [q]
    recipes: [sft]
    seeds: [1, 2]
    suites: [math, held]
    performance: [math/verify, math/wins]
    primary_judges: [wins]
    primary: car
    references: [raw, told]
    smallest_difference: 1
    exclude: [{teacher: s, seed: 2}]
    include: [{base: q, corpus: seed__s, recipe: sft, seed: 2}]
  second:
    compare: teacher
    instructions: [seed]
    teachers: [t, e, s]
    bases: [q]
    recipes: [sft]
    seeds: [1]
    suites: [math]
    performance: [math/verify]
    pilot: {sample: 4, by: [car], keep: 1}
"""


def counted(config: dict, step: int) -> Counter:
    """Return how many mutations were refused and built. Fails with all that neither are."""
    outcomes, wrong = Counter(), []
    for what, changed in islice(mutations.mutated(config), 0, None, step):
        try:
            outcomes[mutations.outcome(changed)] += 1
        except Exception as error:
            wrong.append(f"{what}: {type(error).__name__}: {str(error)[:300]}")
    assert not wrong, f"{len(wrong)} of {outcomes.total() + len(wrong)}:\n" + "\n".join(wrong)
    return outcomes


@pytest.fixture
def every_kind(small) -> dict:
    """In the folder of the small grid, whose files it names."""
    rows = [{"instruction": f"Add 1 to {i}.", "answer": str(i + 1), "response": str(i + 1)} for i in range(20)]
    Path("config/seed.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = yaml.safe_load(EVERY_KIND)
    assert mutations.outcome(config) == "built"
    return config


@pytest.mark.parametrize("one_in", [pytest.param(6, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.bench)])
def test_every_key_with_every_kind_of_mistake(every_kind, one_in):
    outcomes = counted(every_kind, one_in)
    print(outcomes)
    assert outcomes["refused"] > 8000 // one_in and outcomes["built"] > 800 // one_in, outcomes


def test_the_mutations_reach_every_key_of_the_schema(every_kind):
    """No key is added to the schema without being tried."""
    from teachergrid.spec import schema

    tried = {key for _, key, is_name in mutations.places(every_kind, schema.read()) if not is_name}
    known = {*schema.read()["properties"]}
    for name in schema.read()["$defs"]:
        known |= {*schema.definition(name).get("properties", {})}
    known |= {*schema.member(schema.definition("recipe"), "lora")["properties"]}
    assert tried == known
