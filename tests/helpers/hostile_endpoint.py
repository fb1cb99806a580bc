"""An endpoint of OpenAI's protocol on loopback that behaves badly, and a client that a test can kill.

As a script it is the client: hostile_endpoint.py URL RESULTS N [batch]. It asks N requests and prints {number: text} as JSON.
"""

import asyncio
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from teachergrid.engines.openai import Asker
from teachergrid.engines.requests import Endpoint, Limits, Price, Request, Sampling

KEY_ENV, KEY = "TEACHERGRID_TEST_KEY", "sk-never-to-be-seen-0123456789"
PRICE = Price(2.0, 8.0)
TOKENS = 10, 1  # of each answer
USD = PRICE.of(*TOKENS)
SAMPLING: Sampling = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 8, "samples": 1, "seed": None}
API = "maker/model"
JOB = "generate/t/q"
DICE = random.Random(0)

Answer = tuple[int, bytes, bytes]  # code, body, further headers


def body(text: str | None, reason: str | None = "stop", **more) -> bytes:
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1]}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return json.dumps({"model": "model-2026", "choices": [choice], "usage": usage} | more).encode()


class Server:
    """What the endpoint has seen. asked: bodies of all requests. paid: answers with code 200, by the text of the prompt.

    files: contents by id. batches: by id, as they are told. ends: how a batch ends. polls: how often it is asked after before that.
    hurt: called with method and path of a call about files and batches; what it returns happens to the call after it was done (None:
    cut off; a number: it hangs so long), unless that is "fine".
    """

    def __init__(self, behave: "Callable[[Server, str], Answer | float | None]") -> None:
        self.behave, self.asked, self.paid = behave, list[dict](), Counter[str]()
        self.files, self.batches = dict[str, bytes](), dict[str, dict]()
        self.ends, self.polls = "completed", 2
        self.hurt: Callable[[str, str], Answer | float | str | None] = lambda method, path: "fine"
        self.now = self.most = 0
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._reply(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path = head[0].split()[:2]
        if not path.endswith("/chat/completions"):
            return await self._batching(writer, method, path.removeprefix("/v1"), content, headers)
        asked = json.loads(content)
        self.asked.append(asked)
        item = asked["messages"][-1]["content"]
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(random.uniform(0, 0.01))  # answers come in another order than they were asked
            if headers.get("authorization") != f"Bearer {KEY}":
                said = self._head(401, 40, b"") + headers.get("authorization", "").encode().ljust(40)[:40]
                writer.write(said)
                return True
            reply = self.behave(self, item)
            if isinstance(reply, float):  # it hangs
                await asyncio.sleep(reply)
                return False
            if reply is None:  # cut off in the middle
                self.paid[item] += 1
                writer.write(self._head(200, 5000, b"") + b'{"cho')
                await writer.drain()
                return False
            code, content, more = reply
            self.paid[item] += code == 200
            writer.write(self._head(code, len(content), more) + content)
            await writer.drain()
            return True
        finally:
            self.now -= 1

    async def _batching(
        self, writer: asyncio.StreamWriter, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> bool:
        """Answer a call about files and batches."""
        if headers.get("authorization") != f"Bearer {KEY}":
            writer.write(self._head(401, 2, b"") + b"{}")
            return True
        said = self._done(method, path, content)
        harm = self.hurt(method, path)
        if isinstance(harm, float):
            await asyncio.sleep(harm)
        if harm is None or isinstance(harm, float):
            return False
        code, text, more = (200, said, b"") if isinstance(harm, str) else harm
        writer.write(self._head(code, len(text), more) + text)
        await writer.drain()
        return True

    def _done(self, method: str, path: str, content: bytes) -> bytes:
        place, _, rest = path.removeprefix("/").partition("?")[0].partition("/")
        if (method, place, rest) == ("POST", "files", ""):
            name = f"file-{len(self.files)}"
            self.files[name] = content.split(b"application/jsonl\r\n\r\n")[1].rpartition(b"\r\n--")[0]
            return json.dumps({"id": name}).encode()
        if (method, place, rest) == ("POST", "batches", ""):
            name = f"batch_{len(self.batches)}"
            self.batches[name] = {"id": name, "status": "validating", "asked": 0, **json.loads(content)}
            return json.dumps(self.batches[name]).encode()
        if (place, rest) == ("batches", ""):
            return json.dumps({"data": [*self.batches.values()], "has_more": False}).encode()
        if place == "batches":
            batch = self.batches[rest]
            batch["asked"] += 1
            if batch["asked"] >= self.polls and batch["status"] == "validating":
                self._end(batch)
            return json.dumps(batch).encode()
        return self.files[rest.removesuffix("/content")]

    def _end(self, batch: dict) -> None:
        """Answer the requests of a batch, in another order: what fails or hangs is an error, what is cut off is in neither file."""
        batch["status"] = self.ends
        good, bad = [], []
        rows = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        for row in reversed(rows if self.ends in ("completed", "expired") else []):
            assert (row["method"], row["url"]) == ("POST", "/v1/chat/completions")
            self.asked.append(row["body"])
            item = row["body"]["messages"][-1]["content"]
            reply = self.behave(self, item)
            if isinstance(reply, tuple):
                code, text, _ = reply
                self.paid[item] += code == 200
                said = {"status_code": code, "body": json.loads(text) if text[:1] == b"{" else text.decode()}
                (good if code == 200 else bad).append({"custom_id": row["custom_id"], "response": said, "error": None})
            elif reply is not None:
                error = {"code": "batch_expired", "message": "not executed"}
                bad.append({"custom_id": row["custom_id"], "response": None, "error": error})
        for key, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[key] = f"file-{key}-{batch['id']}"
                self.files[batch[key]] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        if self.ends == "failed":
            batch["errors"] = {"data": [{"code": "invalid", "message": "line 1 is not understood"}]}

    def _head(self, code: int, length: int, more: bytes) -> bytes:
        return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (code, length, more)


def hostile(server: Server, item: str) -> Answer | float | None:
    """Behave as the worst of endpoints: a third of all answers is of no use."""
    if item == "item 13":
        return 400, b'{"error": {"code": "content_filter"}}', b""
    bad: list[Answer | float | None] = [
        (429, b"{}", b"Retry-After: 0.1\r\n"),
        (429, b"{}", b""),
        (500, b"oops", b""),
        2.0,
        None,
        (200, b"<html>busy</html>", b""),
        (200, body(None, None), b""),
        (200, body(None, choices=[]), b""),
    ]
    place = int(DICE.random() * 24)
    return bad[place] if place < len(bad) else (200, body(f"answer to {item}"), b"")


@contextmanager
def serving(behave: Callable[[Server, str], Answer | float | None] = hostile) -> Iterator[Server]:
    """Yield a server that runs in a thread of its own."""
    server, loop = Server(behave), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.talk, "127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    talks = asyncio.all_tasks() - {asyncio.current_task()}
    for talk in talks:
        talk.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


def endpoint(url: str, cap: float | None = None, **settings) -> Endpoint:
    settings = {"at_once": 8, "timeout": 0.7, "tries": 10, "pause": 0.02, "limits": Limits(cap)} | settings
    return Endpoint("hostile", url, KEY_ENV, PRICE, **settings)


def asker(results: Path, of: Endpoint, job: str = JOB) -> Asker:
    chat = {"template": "own", "template_args": {}, "system": None}
    return Asker(of, API, results, job, chat)


def requests(n: int, **sampling) -> list[Request]:
    chats = [[{"role": "user", "content": f"item {i}"}] for i in range(n)]
    return [Request(f"i{i}", 0, chat, None, SAMPLING | sampling) for i, chat in enumerate(chats)]


if __name__ == "__main__":
    url, results, n, *how = sys.argv[1:]
    answers = asker(Path(results), endpoint(url, batch=bool(how))).generate(requests(int(n)))
    print(json.dumps({number: output["text"] for number, output in answers}), flush=True)
