"""Unfinished work: kept for the same spec and inputs, and cleared once the output is there."""

import json
from pathlib import Path

import pytest
from teachergrid.store import origin, unfinished


@pytest.fixture
def results(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return "results"


def test_what_a_killed_job_left_is_seen(results):
    made_from = {"rule": "generate", "spec": "{}", "inputs": {}}
    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    folder = unfinished.folder("results/responses/a.parquet", made_from)
    assert not unfinished.has_unfinished("results/responses/a.parquet", made_from)
    (folder / "shard").touch()
    assert unfinished.has_unfinished("results/responses/a.parquet", made_from)


def test_work_is_cleared_when_its_output_is_finished(results):
    made_from = origin.of("generate", "{}", [])
    done, waiting = (unfinished.folder(f"results/students/{name}/student.json", made_from) for name in ("a", "b"))
    other = unfinished.folder("results/students/a/student.json", origin.of("generate", '{"x": 1}', []))
    for path in (done, waiting, other):
        (path / "shard").touch()
    origin.replace_text("results/students/a/student.json", json.dumps({"origin": made_from}))
    unfinished.clear(results)
    assert not done.exists() and waiting.exists() and other.exists()
    origin.replace_text("results/students/b/student.json", json.dumps({"origin": made_from}))
    unfinished.clear(results)
    assert not waiting.parent.exists() and other.exists(), "what is empty goes, what waits stays"


STUDENT = Path("results/students/s/student.json")


def sound(text: str) -> str:
    """Return an output that states its origin."""
    return json.dumps({"text": text, "origin": origin.of("finetune", "{}", [])})


def trained(text: str, described: bool = True) -> None:
    """Let a training of a student end, with a description of its weights or before it."""
    unfinished.set_folder_aside(STUDENT.parent / "weights")
    (STUDENT.parent / "weights").mkdir(parents=True)
    (STUDENT.parent / "weights/model").write_text(text)
    if described:
        STUDENT.write_text(sound(text))


def replaced(results: str) -> dict[str, str]:
    top = Path(results, unfinished.REPLACED)
    texts = {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}
    return {name: json.loads(text)["text"] if name.endswith(".json") else text for name, text in texts.items()}


def test_a_student_and_its_weights_stay_together(results):
    trained("first")
    for version, before in (("second", "first"), ("third", "second")):
        unfinished.set_aside([str(STUDENT)])
        STUDENT.unlink()
        trained(version)
        assert unfinished.settle(results) == []
        assert replaced(results) == {"students/s/student.json": before, "students/s/weights/model": before}
    # killed after its training: the old description would not fit the new weights
    unfinished.set_aside([str(STUDENT)])
    STUDENT.unlink()
    trained("fourth", described=False)
    assert unfinished.settle(results) == [] and not STUDENT.exists()
    assert replaced(results) == {"students/s/student.json": "third", "students/s/weights/model": "third"}
    # failed before it
    trained("fifth")
    unfinished.set_aside([str(STUDENT)])
    STUDENT.unlink()
    assert unfinished.settle(results) == [str(STUDENT)] and STUDENT.read_text() == sound("fifth")
    assert (STUDENT.parent / "weights/model").read_text() == "fifth" and not Path(results, unfinished.ASIDE).exists()


def test_weights_of_a_training_that_replaces_nothing_are_removed(results):
    trained("old")
    trained("new")
    assert not Path(results, unfinished.ASIDE).exists()


def test_a_reward_called_weights_is_put_back(results):
    output = Path("results/rewards/weights/a__b.json")
    output.parent.mkdir(parents=True)
    output.write_text(sound("old"))
    unfinished.set_aside([str(output), "results/rewards/weights/none.json"])
    output.unlink()
    assert unfinished.settle(results) == [str(output)] and output.read_text() == sound("old")


def test_a_colleagues_linked_results_are_left_alone(results, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/a__b.json").write_text(sound("old"))
    Path("results/responses").symlink_to(tmp_path / "theirs")
    unfinished.set_aside(["results/responses/a__b.json"])
    assert not Path(results, unfinished.ASIDE).exists()


def test_without_hard_links_it_is_copied(results, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(unfinished.os, "link", refuse)
    output = Path("results/responses/a__b.json")
    output.parent.mkdir(parents=True)
    output.write_text(sound("old"))
    unfinished.set_aside([str(output)])
    assert unfinished.settle(results) == [] and replaced(results) == {}, "it is still at its place"
    unfinished.set_aside([str(output)])
    output.unlink()
    assert unfinished.settle(results) == [str(output)]
