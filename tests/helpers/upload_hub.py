"""A hub on the loopback interface that takes uploads, as huggingface_hub 2.4.0 sends them."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(ThreadingHTTPServer):
    """asked: (path, authorization, body) of every request. files: {path: bytes} of the last commit. refuses: the code it answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked, self.files, self.refuses = [], {}, None
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        if self.server.refuses:
            return self.say({"error": f"no, {self.headers.get('Authorization')}"}, self.server.refuses)
        if self.path.endswith("/repos/create"):
            return self.say({"url": f"{self.server.url}/me/x", "id": "me/x", "name": "me/x"})
        if "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self.say({"files": files})
        if "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines() if line]
            values = [line["value"] for line in lines if line["key"] == "file"]
            self.server.files = {value["path"]: base64.b64decode(value["content"]) for value in values}
            return self.say({"commitUrl": f"{self.server.url}/me/x/commit/1", "commitOid": "1" * 40, "success": True})
        if "/revision/" in self.path or "/tree/" in self.path:
            return self.say({"id": "me/x", "sha": "0" * 40, "siblings": []} if "/revision/" in self.path else [])
        return self.say({"errors": [], "warnings": []})  # of its check of the card's head

    def say(self, content, code: int = 200):
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
