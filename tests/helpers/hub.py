"""A hub on the loopback interface: what huggingface_hub 2.4.0 asks of the real one, over real HTTP."""

import hashlib
import json
import re
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import loopback

API = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree|auth-check)(?:/([^/]+))?)?$")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


class Hub(loopback.Server):
    """repos: {(kind, name): repo} as `add` makes them. asked: (method, path, Range header) of every request."""

    def __init__(self):
        super().__init__(Answer)
        self.repos = {}

    def add(self, name: str, files: dict[str, bytes], kind: str = "model", commit: str | None = None):
        """Return a repository whose attributes a test may change: gated (refuses all files), says (another commit than
        its own), drop ({file: bytes after which the line breaks, once}), dead (files that always break)."""
        commit = commit or hashlib.sha1(name.encode()).hexdigest()
        repo = SimpleNamespace(files=files, commit=commit, gated=False, says=None, drop={}, dead=set(), refs={"main"})
        self.repos[kind, name] = repo
        return repo

    def fetched(self) -> list[str]:
        return [path.rsplit("/", 1)[1] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]


class Answer(loopback.Handler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if asked := API.fullmatch(path):
            kind, name, what, revision = asked.groups()
        elif asked := FILE.fullmatch(path):
            kind, name, what, revision = "dataset" if asked[1] else "model", asked[2], "file", asked[3]
        else:
            return self.say(404, b"")
        repo = self.server.repos.get((kind, name))
        if repo is None:
            return self.refuse(401, "RepoNotFound")
        if revision is not None and revision != repo.commit and revision not in repo.refs:
            return self.refuse(404, "RevisionNotFound")
        if repo.gated and what in ("file", "auth-check"):
            return self.refuse(403, "GatedRepo")
        if what == "file":
            return self.file(repo, asked[4])
        if what == "tree":
            rows = [{"type": "file", "path": f, "size": len(b), "oid": etag(b)} for f, b in repo.files.items()]
        elif what == "auth-check":
            rows = {}
        else:
            files = [{"rfilename": f, "size": len(b), "blobId": etag(b)} for f, b in repo.files.items()]
            gated = "manual" if repo.gated else False
            rows = {"id": name, "sha": repo.says or repo.commit, "gated": gated, "siblings": files}
        return self.say(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def refuse(self, code: int, why: str):
        self.say(code, b"{}", {"X-Error-Code": why, "X-Error-Message": why})

    def file(self, repo, name: str):
        if name not in repo.files:
            return self.refuse(404, "EntryNotFound")
        content = repo.files[name]
        headers = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        start = 0
        if part := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(part[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        broken = 0 if name in repo.dead else repo.drop.pop(name, None) if self.command == "GET" else None
        return self.say(206 if start else 200, content[start:], headers, broken)

    def say(self, code: int, body: bytes, headers: dict | None = None, broken: int | None = None):
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if broken is None else body[:broken])
        if broken is not None:
            self.close_connection = True


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def running():
    """Return a context in which a hub serves."""
    return loopback.running(Hub())
