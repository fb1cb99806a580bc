"""Words, numbers and tables of a plan in a terminal."""

from plan_documents import chain, job
from teachergrid.planning import remarks, sums, terminal


def test_unknown_prices_are_said_and_a_table_fits_its_width():
    some = sums.summed([job("a 1", 1), job("b 1", 1, usd_per_hour=None)])
    assert (
        terminal.money(some) == "2.0 USD (1.0 to 4.0) and 1 jobs of unknown price" and terminal.dollars(some) == "2.0+?"
    )
    assert max(map(len, terminal.table(["why", "jobs"], [["x" * 200, "1"]], 80).splitlines())) == 80


def lines(text: str, first: str) -> list[str]:
    return [line for line in text.splitlines() if line.split()[:1] == [first]]


def test_the_headline_and_the_tables_of_a_plan():
    text = terminal.page(chain(), 120)
    [jobs] = lines(text, "jobs")
    assert jobs.split()[1:4] == ["3", "to", "do;"] and "3 results" in jobs
    [disk] = lines(text, "disk")
    assert "1.0 GB more, 10.0 GB free" in disk and "can be freed" not in disk
    assert [line.split()[1:4] for line in lines(text, "generate")] == [["2", "0", "3.0"]]
    # one base alone is no comparison
    assert lines(text, "large") and not lines(text, "q")
    chain_line = next(line for line in text.splitlines() if "finetune q__small__s1 4.0 h" in line)
    assert chain_line.index("finetune q__small__s1") < chain_line.index("generate small"), "the longest first"
    assert "finetune twice as fast: 3.0 h" in text and "!" not in text


def test_what_is_wrong_with_a_plan_is_said_last():
    document = chain() | {"problems": ["no GPU for generate large"], "schedule": None, "no_schedule": "no GPUs"}
    document["storage"] |= {"lacking": "1 GB too little"}
    document["total"] |= {"blocked": 1}
    text = terminal.page(document, 80)
    assert text.splitlines()[-2:] == ["! no GPU for generate large", "! disk: 1 GB too little"]
    [end] = lines(text, "end")
    assert "1 of them BLOCKED" in text and end.endswith(": no GPUs")


def test_each_job_has_a_line_in_the_details():
    document = chain()
    document["jobs"][1] |= {"blocked": "no room"}
    first, second, _ = terminal.details(document).splitlines()
    assert first == "  generate small  60 min on 1 h100 (analytic); first run; <its first>"
    assert second.endswith("; BLOCKED: no room")


def test_on_slurm_the_details_say_what_a_job_asks_for_and_which_type_is_guessed():
    document = chain()
    document["cluster"]["pools"]["a100_80gb"] = {"amount": 4, "limit_s": None, "guessed": "a100"}
    document["jobs"][0] |= {"pool": "a100_80gb", "device": "a100"}
    document["jobs"][0] |= {"slurm": {"partition": "gpu-long", "mem_mb": 64000, "minutes": 1440}}
    document["jobs"][1] |= {"slurm": {"partition": None, "mem_mb": None, "minutes": 600}}
    first, second, _ = terminal.details(document).splitlines()
    assert "on 1 a100_80gb (guessed: a100) (analytic), asks gpu-long for 64.0 GB and 24.0 h; first run" in first
    assert "(analytic), asks no partition for no memory and 10.0 h; first run" in second
    assert "a100_80gb=4 (guessed: a100)" in terminal.ending(document)


def test_a_long_list_of_teachers_is_cut():
    jobs = [job(f"generate t{i}", 9 - i, teacher=f"t{i}") for i in range(8)]
    text = terminal.by("teacher", sums.by_word(jobs, "teacher"), 80)
    assert len(text.splitlines()) == terminal.MOST + 2 and text.endswith("... and 2 cheaper ones")


def test_model_folders_without_a_revision_are_named_with_their_digests():
    folders = {f"models/{i}": f"folder sha256:{i:012x}" for i in range(8)}
    said = " ".join(terminal.page(chain() | {"folders": folders}, 120).split())
    assert (
        "models in folders without a `revision`: models/0 (sha256:000000000000), models/1 (sha256:000000000001),"
        in said
    )
    assert "models/5 (sha256:000000000005) and 2 more (--details)" in said
    assert "models/7  folder sha256:000000000007" in terminal.details(chain() | {"folders": folders, "jobs": []})
    assert "revision" not in terminal.page(chain() | {"folders": {}}, 120)
    assert "revision" not in terminal.page(chain(), 120), "a plan saved by an older version"


def test_what_a_plan_replaces_and_what_could_be_spared_is_said():
    document = chain()
    assert remarks.texts(document) == []
    changes = ["teacher large: model.repo: a -> b"]
    document["replaces"] = {"results": 38, "gpu_hours": 12.0, "unknown": 2, "changes": changes}
    document["spared"] = document["total"] | {
        "deleted": {"generate": 1},
        "command": "teachergrid run --until generate && ...",
    }
    replaces, spared = remarks.texts(document)
    assert replaces.startswith(
        "replaces 38 results that took at least 12.0 GPU-hours, made from another config (teacher large: "
    )
    assert spared.startswith("3 of these jobs (7.0 GPU-hours)") and "(generate 1)" in spared
    assert spared.endswith(": teachergrid run --until generate && ...")
    assert "! replaces 38 results" in terminal.page(document, 80)


def test_a_plan_says_what_a_pilot_leads_to_before_all_else():
    document, later = chain(), sums.summed([job("finetune q", 40), job("generate big", 60)])
    document["phase_two"] = {"grids": ["teachers"], "jobs": [], "total": later, "stages": [], "seconds": None}
    document["phase_two"] |= {"storage": document["storage"]}
    text = terminal.page(document, 120)
    [work], [cost] = lines(text, "work"), lines(text, "cost")
    assert work.split()[1:4] == ["at", "most", "100"] and "of that, in phase one 7.0 GPU-hours" in text
    assert cost.split()[1:4] == ["at", "most", "200"]
    assert [line.split()[5:7] for line in lines(text, "with")] == [["2", "0"]] or "with phase two, at most" in text


def test_nothing_to_do_is_not_all_where_something_is_amiss():
    document = chain() | {"jobs": [], "problems": ["the pilot of teachers is not among these jobs"]}
    assert terminal.page(document, 80).splitlines()[1] == "! the pilot of teachers is not among these jobs"


def test_what_the_cost_rests_on_and_how_to_know_it_better():
    document = chain()
    assert remarks.uncertain(document) == [], "a plan saved by an older version"
    jobs = [one | {"engine": "transformers"} if one["rule"] == "generate" else one for one in document["jobs"]]
    narrower = {
        "rule": "finetune",
        "of": "gpus",
        "before": {"low": 1, "high": 9},
        "after": {"low": 2, "high": 6},
        "share": 0.4,
    }
    document |= {"engines": sums.by_engine(jobs), "narrowing": narrower}
    document["total"] |= {"gpu_hours": {"low": 1, "expected": 3.5, "high": 9}}
    engine, probe = remarks.uncertain(document)
    assert engine.startswith("the engine transformers makes 86 % of the GPU-hours; it decodes batch after batch")
    assert probe.startswith(
        "the range of 1.0 to 9.0 GPU-hours is widest for finetune (40 % of them): a probe of its jobs"
    )
    assert probe.endswith("would narrow it to about 2.0 to 6.0 (`teachergrid plan --probe`)")
    total = document["total"] | {"lengths": {"alike": {"jobs": 2, "weight": 0.8}, "usual": {"jobs": 3, "weight": 0.0}}}
    assert remarks.basis(total).endswith(
        "; lengths of responses: 2 from responses like theirs, which count as 0.8 teachers, 3 as usual"
    )


def test_what_endpoints_are_asked_for_is_in_the_headline():
    usd = {"low": 6.0, "expected": 12.0, "high": 24.0}
    row = {
        "endpoint": "api",
        "jobs": 1,
        "requests": 12_000,
        "prompt_tokens": 3_000_000,
        "response_tokens": 6_000_000,
        "usd": usd,
    }
    rows = [row, row | {"endpoint": "new", "usd": None}, row | {"endpoint": "old", "requests": 0}]
    said = " ".join(terminal.page(chain() | {"endpoints": rows}, 120).split())
    assert (
        "asks api: 12,000 requests, about 3,000,000 tokens in and about 6,000,000 out, 12.0 USD (6.0 to 24.0);" in said
    )
    assert (
        "new: 12,000 requests, about 3,000,000 tokens in and about 6,000,000 out, price unknown: state its `usd_in`"
        in said
    )
    assert "old: nothing new, all is answered" in said
    assert "asks " not in terminal.page(chain(), 120), "a plan saved by an older version"


def test_what_benchmarks_detect_is_in_the_headline():
    rows = [{"suite": "exams", "task": f"t{n}", "items": 1319, "unpaired": 5.5, "paired": 4.4} for n in range(8)]
    said = " ".join(terminal.page(chain() | {"detectable": rows}, 120).split())
    assert (
        "four of five runs detect at p <= 0.05 where half is right: exams/t0 (1,319 items) 4.4 points (5.5), exams/t1"
        in said
    )
    assert "and 2 more (--json)" in said
    assert "detect" not in terminal.page(chain(), 120), "a plan saved by an older version"
