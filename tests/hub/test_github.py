"""Files of public repositories: fetched once, known by their digest."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from teachergrid.errors import BadInput
from teachergrid.hub import github

TEXT = "the file"
FILE = github.File("org/name", "0" * 40, "folder/prompt.txt", hashlib.sha256(TEXT.encode()).hexdigest())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def server():
    """Yield a server that sends `sent` with `code`, and notes what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.code)
            self.end_headers()
            self.wfile.write(self.server.sent)

        def log_message(self, *args):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.asked, serving.code, serving.sent = [], 200, TEXT.encode()
    serving.url = f"http://127.0.0.1:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield serving
    serving.shutdown()
    serving.server_close()
    thread.join()


def test_a_file_is_fetched_once(cache, server):
    with pytest.raises(
        BadInput,
        match=r"github\.com/org/name, folder/prompt\.txt at 0{12}: not in the cache; run `teachergrid prefetch`",
    ):
        github.read(FILE)
    assert github.fetch(FILE, server.url) is None and github.fetch(FILE, server.url) is None
    assert server.asked == [f"/org/name/{'0' * 40}/folder/prompt.txt"]
    assert (github.read(FILE), github.lacks(FILE)) == (TEXT, None)
    github.place(FILE).write_text("edited")
    assert "is another file; remove it, and run `teachergrid prefetch`" in github.lacks(FILE)


def test_another_file_is_not_taken(cache, server):
    server.sent = b"<html>"
    assert "sent another file than this version knows" in github.fetch(FILE, server.url)
    server.code = 404
    assert "answers 404; try again later" in github.fetch(FILE, server.url)
    assert not cache.exists()
    server.shutdown()
    server.server_close()
    assert "cannot be reached" in (said := github.fetch(FILE, server.url)) and said.endswith("where there is a network")
