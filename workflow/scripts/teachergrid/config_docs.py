"""Write config/README.md from the schema, so that it cannot say something else.

python -m teachergrid.config_docs > config/README.md
"""

import json

from . import spec
from .expressions import COLUMNS, FUNCTIONS, OPERATORS_TEXT
from .formulas import FORMULAS
from .variants import Metric

HEAD = """# What is computed

One YAML file says what is computed; a profile (`profiles/`) says where and how. This page is made from
`workflow/schemas/config.schema.yaml` by `python -m teachergrid.config_docs`; a test keeps it fresh. The first line of a
config, `# yaml-language-server: $schema=../workflow/schemas/config.schema.yaml`, makes editors complete and check it.

| file | what |
|---|---|
| `config.yaml` | the embedded demo, run by `make demo` |
| `alpaca_eval.yaml` | real answers of six models to 805 real instructions, through the engine `existing` |
| `paper_car.yaml` | the grid of "Stronger Models are NOT Stronger Teachers" (19 open teachers, 5 bases) for a cluster, with what is not the paper's marked |
| `machines.yaml` | what GPUs can do and cost, prices of APIs, with a date; `teachergrid plan --machines FILE` puts yours over it |
| `revisions.lock` | the commits of hub models and data sets that a config leaves out, written by `teachergrid prefetch --pin` |

Another config: `teachergrid run --configfile config/alpaca_eval.yaml`.

**Add a teacher**: five lines in one place, since a grid may say `teachers: all`:

```yaml
teachers:
  my-teacher:
    model: {repo: org/name, revision: <commit>, family: Qwen2.5, parameters: 7, licence: Apache-2.0}
    sampling: {temperature: 0.7, max_tokens: 2048}
```

Names are lower-case letters and digits joined by single `.` or `-`. A number such as `1e-5` is text for YAML: write
`1.0e-5`. Unknown keys are refused with the nearest known name; what names what is checked before any job starts, without
any model present. Marks: **cost** changes what a job costs and not its result, **label** only describes; both rerun no
model when they change.

**Derived corpora** are rows chosen from responses; they cost no model by themselves, and are trained on, measured and
examined like a teacher's whole responses once a grid lists them under `corpora`. Names are of the demo:

```yaml
corpora:
  # best of N: over teachers, or over the samples of one (sampling: {temperature: 1, samples: 5})
  best: {instructions: pool, teachers: all, by: reward-rm}
  # each prompt to the teacher whose answer the base finds most likely (GRAPE); CAR per prompt; quality and likelihood mixed
  grape: {instructions: pool, teachers: all, by: nll}
  car-routed: {instructions: pool, teachers: [steps-l, concise-l], by: car}
  mixed: {instructions: pool, teachers: all, by: {reward-rm: 0.6, nll: 0.4}}
  # the tenth with the highest IFD, as many of each category and length; its control, drawn by lot
  top: {instructions: pool, teachers: [steps-l], by: ifd, share: 0.1, each: [category, length]}
  lot: {instructions: pool, teachers: [steps-l], choose: random, share: 0.1, each: [category, length]}
  # one prompt in four from one teacher
  blend: {instructions: pool, teachers: [steps-l, concise-l], choose: random, ratios: {steps-l: 3, concise-l: 1}}
  # the same number of trained tokens for each
  few-steps: {instructions: pool, teachers: [steps-l], choose: all, tokens: 4000}
  few-concise: {instructions: pool, teachers: [concise-l], choose: all, tokens: 4000}
```

**Learning rate.** One for all may favour some teachers. A scan is a grid that compares recipes; its students are shared with
other grids. A base of its own rate is one `exclude` line:

```yaml
recipes:
  slow: {learning_rate: 1.0e-5}
  fast: {learning_rate: 4.0e-5}
grids:
  scan: {compare: recipe, instructions: [pool], teachers: [steps-l], bases: [bs, bm], recipes: [slow, fast], seeds: [1], suites: [miniworld], performance: [miniworld/verify]}
  tuned:
    compare: teacher
    instructions: [pool]
    teachers: all
    bases: [bs, bm]
    recipes: [slow, fast]
    exclude: [{base: bs, recipe: slow}, {base: bm, recipe: fast}]
    seeds: [1]
    suites: [miniworld]
    performance: [miniworld/verify]
```

**Think blocks** are trained on as they stand. A teacher without them is a second one, `{engine: stripped, of: NAME}`: what is
scored is then what SFT sees, and the raw responses stay.

**Contamination**: the report counts the instructions that a grid's suites also hold. `decontaminate: [SUITE]` of a set
removes them before the draw; decide it before teachers answer, since another set is answered anew.

Seeds: a grid's `seeds` are those of SFT. Instruction draw, sampling, evaluation and bootstrap have their own, derived from
the root `seed` unless stated. Greedy decoding has none.
"""

FORMULAS_OF_METRICS = f"""## Formulas of metrics

A metric is a formula of this table, or an `expression` of your own with its direction:

```yaml
metrics:
  easy-and-good: {{expression: "reward_mean - 0.1 * nll_mean", best: highest, reward: rm}}
  known-to-gpt2: {{expression: "ppl - ppl(scorer='gpt2')", best: lowest}}
  long-and-good: {{expression: "mean(reward * length) / mean(length)", best: highest, reward: rm}}
```

An expression holds numbers, {OPERATORS_TEXT}, {", ".join(f"`{name}`" for name in FUNCTIONS)}, parameters (`beta`,
`threshold`, `power`), formulas that are computed as means, and `mean(...)` or `median(...)` over responses of the columns
{", ".join(f"`{name}`" for name in COLUMNS)}. `given` is -log p(answer given question) summed over `tokens`, `loss` is given /
tokens, `alone` the same answer's loss without the question, `question` the question's loss, `rank` the mean rank of a token
(at most 100). A formula takes the entry's settings, or its own: `car_mean(reward="rm", beta=2)`. `positive(x)` is undefined
below 0. A response without one of the numbers is left out of all of them, and counted. An expression is read and never run
as Python.

Difficulty by a judge, or a chat model's opinion of a response, is a reward with a `rating`, and `reward_mean` of it a metric:

```yaml
rewards:
  difficulty:
    model: judge
    rating: {{prompt: "How hard is this task, from 1 (trivial) to 5 (for an expert)? Answer with the number alone.\\n\\n{{instruction}}"}}
metrics:
  difficulty: {{formula: reward_mean, reward: difficulty}}
```

How alike a teacher's responses are by sentence embeddings is a reward with a `similarity`; the best by such a metric are
those least like the rest:

```yaml
models:
  mpnet: {{repo: sentence-transformers/all-mpnet-base-v2, parameters: 0.11, dtype: float32}}
rewards:
  alike: {{model: mpnet, similarity: {{pooling: mean}}}}
metrics:
  diversity: {{formula: embedding_similarity, reward: alike}}
corpora:
  varied: {{instructions: pool, teachers: [steps-l], by: diversity, choose: all, share: 0.5}}
```

Not here, since no pass takes what they need: reverse IFD, which scores the question given the answer; LALP, whose window is
not stated; GRACE, which needs a gradient per example; ASLEC, which needs the steps of an answer. PerSyn, SCAS and SPPL are
not stated completely. Surprisal is `nll_mean`, the family of IFD over lambda is `ifd_power`, and verified accuracy is
`reward_mean` of a verifier.
"""


def default(part: dict) -> str:
    if "default" not in part:
        return ""
    return "`" + json.dumps(part["default"], ensure_ascii=False).replace("|", "\\|") + "`"


def kind(part: dict) -> str:
    if "enum" in part:
        return " \\| ".join(f"`{'null' if value is None else value}`" for value in part["enum"])
    name = part.get("type", "")
    return " or ".join(name) if isinstance(name, list) else name


def rows(part: dict, required: list[str]) -> list[str]:
    lines = ["| key | kind | default | meaning |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        value = spec.resolve(value)
        mark = " **cost**" if value.get("x-cost") else " **label**" if value.get("x-label") else ""
        need = "**required**" if key in required else default(value)
        lines.append(f"| `{key}` | {kind(value)} | {need} | {value.get('description', '')}{mark} |")
    return lines


def page() -> str:
    """Return the text of config/README.md."""
    schema = spec.schema()
    lines = [HEAD, "## Top level", "", *rows(schema, schema["required"])]
    for name, part in schema["$defs"].items():
        part = spec.resolve(part)
        if "properties" in part and name != "talk":
            lines += ["", f"## {name}", "", part.get("description", ""), "", *rows(part, part.get("required", []))]
    head = ["| formula | what and from where | computed as | joins | unit | better |", "|---|---|---|---|---|---|"]
    lines += ["", FORMULAS_OF_METRICS, *head]
    for name, formula in FORMULAS.items():
        computed = (
            f"`{formula.expression}`" if formula.expression else "all texts" if formula.whole else "over the grid"
        )
        joined = ", ".join(sorted(Metric({"formula": name}).needs))
        lines.append(f"| `{name}` | {formula.text} | {computed} | {joined} | {formula.unit} | {formula.best} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
