"""A teacher's responses are written in shards, and a job that was killed goes on."""

import os

import pytest
import tiny
from generations import MODEL, TEACHER, TEXTS, instructions, tiny_models
from teachergrid.data import generate
from teachergrid.errors import BadInput
from teachergrid.models import loading
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_models(tmp_path_factory.mktemp("models"))


def test_respond_writes_shards_and_takes_up_where_it_was_killed(folders, tmp_path, capsys, monkeypatch):
    asked, settings = instructions(TEXTS), {"teacher": TEACHER, "model": MODEL | {"repo": str(folders["llama"])}}
    table, groups, cut = generate.respond(asked, settings, tmp_path)
    assert groups == [4, 4, 2]
    assert table["id"].to_pylist() == [i for i in asked["id"].to_pylist() for _ in range(2)]
    assert table["sample"].to_pylist() == [0, 1] * 5
    assert set(table["seed"].to_pylist()) == {7}
    assert table.schema == artifacts.RESPONSES
    made = {path: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    first, second, third = sorted(made)
    assert "shard 3 of 3" in capsys.readouterr().out

    def again():
        repeated = generate.respond(asked, settings, tmp_path)
        assert repeated == (table, groups, cut) and cut.num_rows == 0
        assert {path: path.read_bytes() for path in tmp_path.glob("*.parquet")} == made
        return capsys.readouterr().out

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("work that is finished loads no model"))
        assert "3 of 3 shards are there" in again()
    os.truncate(first, first.stat().st_size // 2)
    flipped = bytearray(made[second])
    flipped[len(flipped) // 3] ^= 4
    second.write_bytes(flipped)
    third.unlink()
    (tmp_path / "000002.part").write_bytes(b"PAR1")  # killed while it was written
    said = again()
    assert f"shard 1 is damaged and is made again ({first})" in said
    assert f"shard 2 is damaged and is made again ({second})" in said


def test_prompts_that_are_all_too_long_are_refused(tmp_path):
    entry = MODEL | {"repo": str(tiny.make(tmp_path / "short", positions=40))}
    long = instructions(["red " * 50, "bear " * 50])
    settings = {"teacher": TEACHER, "model": entry}
    with pytest.raises(BadInput, match=f"all 2 prompts are too long.*id {long['id'][0]} with .* tokens"):
        generate.respond(long, settings, tmp_path / "work")
