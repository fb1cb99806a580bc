"""A hub on the loopback interface that takes uploads, as huggingface_hub 2.4.0 sends them."""

import base64
import json

import loopback


class Hub(loopback.Server):
    """asked: (path, authorization, body) of every request. files: {path: bytes} of the last commit. refuses: the code it answers.

    dislikes: whether it finds a fault in the head of a card.
    """

    def __init__(self):
        super().__init__(Answer)
        self.files, self.refuses, self.dislikes = {}, None, False


class Answer(loopback.Handler):
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
        if self.server.dislikes:
            return self.say({"errors": [{"message": "no such licence"}], "warnings": []}, 400)
        return self.say({"errors": [], "warnings": []})  # of its check of the card's head

    def say(self, content, code: int = 200):
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def running():
    """Return a context in which a hub serves."""
    return loopback.running(Hub())
