"""Uploads, to a hub on the loopback interface: what is sent, and that a token is in no message."""

import pytest
import upload_hub
from huggingface_hub import constants
from teachergrid.errors import BadInput
from teachergrid.hub import upload

SECRET = "hf_very_secret"


@pytest.fixture
def hub(monkeypatch):
    with upload_hub.running() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield running


@pytest.fixture
def folder(tmp_path):
    """A file and a link to a file, as `publish` makes them."""
    student = tmp_path / "student"
    student.mkdir()
    (student / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "config.json").write_text("{}")
    (student / "config.json").symlink_to(tmp_path / "config.json")
    return student


def test_a_folder_is_one_commit(hub, folder):
    assert upload.push(folder, "me/x", SECRET, private=True).endswith("/me/x/commit/1")
    assert hub.files == {"README.md": b"---\nlicense: mit\n---\n", "config.json": b"{}"}
    created = next(body for path, _, body in hub.asked if path.endswith("/repos/create"))
    assert b'"private":true' in created.replace(b" ", b"") or b'"visibility":"private"' in created.replace(b" ", b"")
    # the card's head is checked without an account
    signed = {authorization for path, authorization, _ in hub.asked if "validate-yaml" not in path}
    assert signed == {f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(401, "needs the right to write"), (403, "needs the right"), (400, "--dry-run"), (429, "later"), (503, "later")],
)
def test_a_refusal_has_a_remedy_and_no_token(hub, folder, capfd, code, remedy):
    hub.refuses = code
    with pytest.raises(BadInput, match=f"me/x: the hub answers {code}; .*{remedy}") as caught:
        upload.push(folder, "me/x", SECRET, private=True)
    assert SECRET not in "".join([str(caught.value), *capfd.readouterr()])


def test_a_card_that_the_hub_does_not_take_is_told_in_words(hub, folder):
    hub.dislikes = True
    with pytest.raises(BadInput, match=r"me/x: the hub does not take the head of the card; .*--dry-run"):
        upload.push(folder, "me/x", SECRET, private=True)
    assert hub.files == {}


def test_without_a_network_or_a_token(folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ConnectionError, match="no answer; run this where there is a network"):
        upload.push(folder, "me/x", SECRET, private=True)
    monkeypatch.delenv("MY_TOKEN", raising=False)
    with pytest.raises(BadInput, match="MY_TOKEN: no token in this environment variable; export one"):
        upload.token("MY_TOKEN")
    with pytest.raises(BadInput, match="write owner/name"):
        upload.push(folder, "me/x/y", SECRET, private=True)
