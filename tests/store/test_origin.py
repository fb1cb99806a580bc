"""The origin of an artifact: inside a table or student.json, else in a file of its own."""

import json
import os
import stat
import time

import pyarrow as pa
import pytest
from teachergrid.cost import saved_estimates
from teachergrid.planning import archive
from teachergrid.store import artifacts, origin


def made(tmp_path) -> dict:
    (tmp_path / "in.txt").write_text("input")
    return origin.of("metric", '{"a": 1}', [str(tmp_path / "in.txt")])


def test_it_names_the_work_and_changes_with_its_inputs(tmp_path):
    first = made(tmp_path)
    assert first == made(tmp_path) and origin.key(first) == origin.key(made(tmp_path))
    (tmp_path / "in.txt").write_text("other")
    other = origin.of("metric", '{"a": 1}', [str(tmp_path / "in.txt")])
    assert len({origin.key(one) for one in (first, other, {**first, "spec": "{}"})}) == 3


def test_it_is_read_wherever_it_lies(tmp_path):
    made_from, schema = made(tmp_path), pa.schema([("x", pa.int64())])
    within, beside, student, page = (tmp_path / name for name in ("a.parquet", "b.parquet", "s.json", "r.html"))
    artifacts.write(within, [{"x": 1}], schema, made_from)
    artifacts.write(beside, [{"x": 1}], schema, made_from, beside=True)
    student.write_text(json.dumps({"origin": made_from}))
    page.write_text("<html>")
    assert origin.read(page) is None
    origin.write_beside(page, made_from)
    assert [origin.read(path) for path in (within, beside, student, page)] == [made_from] * 4
    # what chose the rows is not in the bytes
    artifacts.write(tmp_path / "c.parquet", [{"x": 1}], schema, {**made_from, "spec": "{}"}, beside=True)
    assert beside.read_bytes() == (tmp_path / "c.parquet").read_bytes() != within.read_bytes()


def test_a_text_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "new/a.txt"
    for text in ("one", "two"):
        origin.replace_text(path, text)
        assert path.read_text() == text and [*path.parent.iterdir()] == [path]


WRITERS = {
    "a text": lambda path: origin.replace_text(path, "new"),
    "bytes": lambda path: origin.replace_bytes(path, b"new"),
    "a table": lambda path: artifacts.write(path, [{"x": 1}], pa.schema([("x", pa.int64())]), None),
    "an origin": lambda path: origin.write_beside(path.with_suffix(""), {"rule": "metric"}),
    "estimates": lambda path: saved_estimates.save({}, str(path.parent.parent), 1),
    "a saved plan": lambda path: archive.save({"hash": "a"}, str(path.parent.parent)),
}
NAMES = {"an origin": "x.origin", "estimates": ".estimates/1.json.gz", "a saved plan": ".plans/a.json.gz"}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_that_another_user_laid_out_is_never_followed(tmp_path, writer):
    """Neither where the output will be nor under its temporary name, nor one to a file that does not exist yet."""
    victim, absent = tmp_path / "victim", tmp_path / "absent"
    victim.write_text("mine")
    for link_of_part, link_of_output in ((victim, absent), (absent, victim)):
        path = tmp_path / "shared" / NAMES.get(writer, "x.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if writer != "estimates":  # those that exist are read first
            path.symlink_to(link_of_output)
        path.with_name(f"{path.name}.part").symlink_to(link_of_part)
        WRITERS[writer](path)
        assert victim.read_text() == "mine" and not absent.exists()
        assert not path.is_symlink() and path.stat().st_size and [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("how", [os.O_TRUNC, os.O_APPEND])
def test_a_log_follows_no_link_and_waits_for_no_fifo(tmp_path, how):
    victim, log = tmp_path / "victim", tmp_path / "logs/a.log"
    victim.write_text("mine")
    log.parent.mkdir()
    for lay_out in (lambda: log.symlink_to(victim), lambda: os.mkfifo(log)):
        lay_out()
        with os.fdopen(origin.opened(log, how), "w") as file:
            file.write("first")
        with os.fdopen(origin.opened(log, how), "w") as file:
            file.write("second")
        assert log.read_text() == ("second" if how == os.O_TRUNC else "firstsecond")
        assert victim.read_text() == "mine"
        log.unlink()


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o002, 0o664, 0o2775), (0o022, 0o644, 0o2755)])
def test_what_a_library_wrote_for_its_owner_gets_the_mode_of_the_umask(tmp_path, mask, file_mode, folder_mode):
    weights, victim = tmp_path / "student/weights", tmp_path / "victim"
    (weights / "adapter").mkdir(parents=True)
    victim.write_text("mine")
    victim.chmod(0o600)
    (weights / "link").symlink_to(victim)
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        (weights / name).write_text("weights")
        (weights / name).chmod(0o600)
    for folder in (weights, weights / "adapter"):
        folder.chmod(0o2700)  # setgid: of a folder that a group shares
    before = os.umask(mask)
    try:
        assert origin.umask() == mask
        origin.share(weights)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (weights, *weights.rglob("*"))}
    assert modes["model.safetensors"] == modes["adapter_model.safetensors"] == file_mode
    assert modes["weights"] == modes["adapter"] == folder_mode
    assert modes["link"] == 0o600, "a link is not followed"
    changed = (weights / "model.safetensors").stat().st_ctime_ns
    time.sleep(0.01)
    os.umask(mask)
    try:
        origin.share(weights)
    finally:
        os.umask(before)
    assert (weights / "model.safetensors").stat().st_ctime_ns == changed, "a file with the right mode is left alone"
