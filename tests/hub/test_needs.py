"""What the cache and folders lack of what jobs need."""

import shutil
from pathlib import Path

import pytest
from hub_grid import planned
from teachergrid.commands import prefetch
from teachergrid.errors import BadInput
from teachergrid.hub import model_files, needs
from workspace import setting


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["lost", "cut", "unknown"])
def test_check_sees_what_is_not_whole(hub, harm):
    prefetch.fetch(planned(), pin=True, dry=False)
    folder = Path(".cache/hub/models--org--small")
    [path] = folder.glob("snapshots/*/model.safetensors")
    if harm == "lost":
        path.unlink()
    elif harm == "cut":
        path.resolve().write_bytes(b"w" * 2999)
    else:
        shutil.rmtree(folder)
        # the library keeps lists of files in memory too: another process has none
        from huggingface_hub import _tree_cache

        _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    [said] = prefetch.absent(planned())
    assert said.startswith("org/small at ") and said.endswith("run `teachergrid prefetch` where there is a network")
    assert ("not in the cache" if harm == "unknown" else "1 of 4 files are missing, such as model.safetensors") in said
    assert prefetch.fetch(planned(), pin=False, dry=False) == [] == prefetch.absent(planned())


def test_a_folder_is_checked_by_its_digest(hub):
    Path("own").mkdir()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        Path("own", name).write_text("{}")
    Path("own/model.safetensors").write_text("weights")
    right = setting("models", "big", to={"repo": "./own", "revision": model_files.digest("own")})
    assert prefetch.fetch(planned(right), pin=True, dry=False) == [] == prefetch.absent(planned(right))
    Path("own/model.safetensors").write_text("other weights")
    [said] = prefetch.fetch(planned(right), pin=True, dry=True)
    assert said.startswith("./own: the folder's revision is sha256-")
    right = planned(right)
    shutil.rmtree("own")
    [said] = prefetch.absent(right)
    assert said.startswith("./own: no such folder")


def test_one_file_of_a_data_set_is_found_in_the_cache(hub):
    source, commit = "hub:org/many/some/asked.jsonl", hub.repos["dataset", "org/many"].commit
    with pytest.raises(BadInput, match=r"org/many at [0-9a-f]{40}: not in the cache; run `teachergrid prefetch`"):
        needs.file_of(source, commit)
    prefetch.fetch(planned(), pin=True, dry=False)
    assert needs.file_of(source, commit).read_bytes() == b'{"prompt": "why"}\n'
