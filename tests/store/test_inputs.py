"""What a summary reads while some cells are dead."""

import json
from pathlib import Path

import pytest
from teachergrid.store import inputs


def test_files_by_what_their_paths_say():
    paths = [
        "results/rewards/rm/pool__a.parquet",
        "results/rewards/rm/pool__b.parquet",
        "results/rewards/v/pool__a.parquet",
    ]
    assert inputs.by_teacher(paths[:2]) == {"a": paths[0], "b": paths[1]}
    assert inputs.by_folder(paths) == {"rm": {"a": paths[0], "b": paths[1]}, "v": {"a": paths[2]}}
    chat, plain = (f"results/likelihoods/q/{name}/pool__a.parquet" for name in ("chat", "plain"))
    assert inputs.likelihoods([chat], [plain]) == {("q", "chat"): {"a": chat}, ("q", "plain"): {"a": plain}}


def test_a_file_whose_own_inputs_are_gone_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw").touch()
    for name, source in (("fresh", "raw"), ("left", "gone"), ("after", "left.json")):
        Path(f"{name}.json").write_text(
            json.dumps({"origin": {"rule": "r", "spec": "{}", "inputs": {source: "sha256:0"}}})
        )
    names = ["raw", "fresh.json", "left.json", "after.json", "never.json"]
    assert inputs.existing(lambda wildcards: names, True)(None) == ["raw", "fresh.json"]
    assert inputs.existing(lambda wildcards: names, False)(None) == names


@pytest.mark.parametrize(
    "content", ["[]", '[{"prompt": "a"}]', '{"prompt": "a"}\n{"prompt": "b"}\n', '{"origin": 1}', "7", ""]
)
def test_data_files_of_every_form_count_as_they_are(tmp_path, content):
    """They lie outside the results, so they state no origin; a list in a .json is none either."""
    source, made = tmp_path / "set.json", tmp_path / "made.json"
    source.write_text(content)
    made.write_text(json.dumps({"origin": {"rule": "r", "spec": "{}", "inputs": {str(source): "sha256:0"}}}))
    assert inputs.existing(lambda wildcards: [str(made)], True)(None) == [str(made)]
