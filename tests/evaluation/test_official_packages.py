"""Our figures beside those of the packages `alpaca-eval` and `lm-eval`, which are in no environment of this project.

Install them beside it to run this: pip install --no-deps alpaca-eval==0.6.6 lm-eval==0.4.13, and what their imports ask for.
"""

import json
import os
import random

import pytest
from stored_judgments import ALPACA, DATA, MODELS, annotations, benchmark, judged, needs_alpaca
from teachergrid.evaluation.measures import ratio
from teachergrid.stats.length_control import length_controlled
from teachergrid.tasks.checkers import check
from teachergrid.tasks.verify import Asked

pytestmark = pytest.mark.slow
IFEVAL = DATA / "ifeval/input_data.jsonl"


@needs_alpaca
@pytest.mark.parametrize("model", MODELS)
def test_length_control_of_alpaca_eval(model, monkeypatch):
    """The package's own fit and choice of C, on the same judgments, gamed rows and difficulties."""
    glm_winrate = pytest.importorskip("alpaca_eval.metrics.glm_winrate", reason="alpaca-eval is not installed")
    import pandas as pd
    import pyarrow.parquet as pq
    import sklearn

    monkeypatch.setattr(glm_winrate, "hf_hub_download", lambda **_: ALPACA / "df_gamed_reconstructed.csv")
    opponent = {
        row["instruction"]: row["output"]
        for row in pq.read_table(ALPACA / "reference_gpt4_1106_preview.parquet").to_pylist()
    }
    places = {row["instruction"]: i for i, row in enumerate(json.loads((ALPACA / "instructions_805.json").read_text()))}
    rows = [
        {
            "index": places[row["instruction"]],
            "instruction": row["instruction"],
            "output_1": opponent[row["instruction"]],
            "output_2": row["output"],
            "generator_1": "gpt4_1106_preview",
            "generator_2": model,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": row["preference"],
        }
        for row in annotations(model)
    ]
    frame = pd.DataFrame(sorted(rows, key=lambda row: row["index"])).set_index("index")
    try:
        theirs = glm_winrate.get_length_controlled_winrate(frame, save_weights_dir=None, is_warn_extreme_changes=False)
    finally:
        sklearn.set_config(enable_metadata_routing=False)  # the package sets it for the whole process
    ours = length_controlled(judged(model), benchmark())
    print(f"{model}: LC {100 * ours.rate:.6f}, alpaca-eval {theirs['length_controlled_winrate']:.6f}")
    # alpaca-7b's two best C are nearly equal in the cross-validation
    assert 100 * ours.rate == pytest.approx(
        theirs["length_controlled_winrate"], abs=0.02 if model == "alpaca-7b" else 1e-6
    )
    scores = [one.score for one in judged(model)]
    assert 100 * sum(scores) / len(scores) == pytest.approx(theirs["win_rate"], abs=1e-9)


PIECES = (
    "<<A title>>\n", '"Quoted."', "* one\n* two\n* three\n", "P.S. more\n", "P.P.S. more\n", "[name] and [place] ", "*a* *b* *c* ", "one, two ",
    "ONE TWO THREE ", "all in lower case ", "\n\n***\n\n", "******", "Paragraph 1\n\n", "SECTION 1\nSECTION 2\n", "Section 1 a\nSection 2 b\n",
    "My answer is yes.", "```json\n{}\n```", '{"a": 1}', "Une réponse courte, ça va bien.", "कैसे हैं आप", "z z z # ! ", "Is there more that I can help with?",
    "A first sentence. A second one. And a third! ", "word " * 60, "\n\n", "- one\n- two\n",
)  # fmt: skip


def own_answer(row: dict, number: int) -> str:
    """Return an answer of our own: pieces drawn at random, with words that the item's rules name, and in one of three cases."""
    rng = random.Random(f"{row['key']}/{number}")
    named = [str(value) for kwargs in row["kwargs"] for value in kwargs.values() if value]
    words = [word for kwargs in row["kwargs"] for word in kwargs.get("keywords") or ()]
    text = "".join(
        rng.sample(PIECES, rng.randint(1, 6))
        + rng.sample(named, min(len(named), rng.randint(0, 2)))
        + words * rng.randint(0, 1)
    )
    if rng.random() < 0.2:
        text = f"{row['prompt']}\n{text}"
    return rng.choice((str, str, str.lower, str.upper))(text)


@pytest.mark.skipif(not IFEVAL.exists(), reason="no IFEval next to the checkout")
def test_ifeval_of_lm_eval(monkeypatch):
    """All four figures, and each verdict, on three answers to each of the 541 prompts; chance begins anew for each of them."""
    monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
    theirs = pytest.importorskip("lm_eval.tasks.ifeval.utils", reason="lm-eval is not installed")
    import langdetect
    import nltk

    nltk.data.path.insert(0, os.environ["NLTK_DATA"])
    langdetect.DetectorFactory.seed = 0
    rows = [json.loads(line) for line in IFEVAL.open()]
    asked = [(row, own_answer(row, number)) for row in rows for number in range(3)]
    ours = check([Asked(str(i), text, json.dumps(row)) for i, (row, text) in enumerate(asked)], {"kind": "ifeval"})
    names = ("prompt_strict", "instruction_strict", "prompt_loose", "instruction_loose")
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    differ = []
    for (row, text), one in zip(asked, ours, strict=True):
        given = theirs.InputExample(row["key"], row["instruction_id_list"], row["prompt"], row["kwargs"])
        found = {}
        for name in ("strict", "loose"):
            random.seed(f"0:{row['key']}")
            result = getattr(theirs, f"test_instruction_following_{name}")(given, text)
            followed = result.follow_instruction_list
            found[f"prompt_{name}"] = float(all(followed)), 1.0
            found[f"instruction_{name}"] = float(sum(followed)), float(len(followed))
        for name in names:
            figures[name].append(found[name])
        if found != dict(one.measures):
            differ.append((row["key"], row["instruction_id_list"], found, dict(one.measures)))
    for name in names:
        own, official = (
            sum(ratio(parts)) / len(parts) for parts in ([one.measures[name] for one in ours], figures[name])
        )
        print(f"{name}: {100 * own:.4f}, lm-eval {100 * official:.4f}")
    assert not differ, differ[:5]
    assert 0.02 < sum(met for met, _ in figures["prompt_strict"]) / len(ours) < 0.9
