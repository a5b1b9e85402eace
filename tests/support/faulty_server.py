"""A server on loopback that fails on demand."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Ways to answer wrongly, each a function of a handler and its choices.


def drop(handler, choices):
    """Close the connection without a word."""
    handler.connection.close()


def break_off(handler, choices):
    """Close the connection in the middle of the reply."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')


def garble(handler, choices):
    """Send half of the JSON as if it were all."""
    handler.reply(200, {"choices": choices}, cut=30)


def sleep(handler, choices):
    time.sleep(1)
    handler.reply(200, {"choices": choices})


def drip(handler, choices):
    """Send a byte now and then, never silent for long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(10):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def status(code, message="no", **headers):
    """Reply with an error."""

    def fault(handler, choices):
        handler.reply(code, {"error": {"message": message}}, **headers)

    return fault


def echo_key(handler, choices):
    """Refuse the key, and say which it was."""
    key = handler.headers["Authorization"]
    handler.reply(401, {"error": {"message": f"Incorrect API key: {key}"}})


def spoil(**changes):
    """Change the first choice; a field that becomes ... is left out."""

    def fault(handler, choices):
        choice = {**choices[0], **changes}
        choice = {name: value for name, value in choice.items() if value is not ...}
        handler.reply(200, {"choices": [choice, *choices[1:]], "usage": handler.usage})

    return fault


def body(content):
    """Reply with this in place of what was asked for."""

    def fault(handler, choices):
        handler.reply(200, content)

    return fault


def keep(n_choices):
    """Send fewer choices than asked for."""

    def fault(handler, choices):
        handler.answer(choices[:n_choices])

    return fault


# Ways to count tokens, each a function of the choices. An answer has one token for each
# word, and one that ends it; a prompt has 7.


def tokens_of(choice):
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return len(text.split()) + (choice["finish_reason"] == "stop")


def count_all(choices):
    total = sum(map(tokens_of, choices))
    return {"prompt_tokens": 7, "completion_tokens": total, "total_tokens": total + 7}


def count_first(choices):
    return count_all(choices[:1])


def count_last(choices):
    return count_all(choices[-1:])


def count_prompt_each_time(choices):
    return {**count_all(choices), "prompt_tokens": 7 * len(choices)}


def count_nothing(choices):
    return None


def count_zeros(choices):
    return dict.fromkeys(count_all(choices), 0)


def count_none_of_several(choices):
    return count_all(choices) if len(choices) == 1 else None


class FaultyServer(ThreadingHTTPServer):
    """Answer as `faults` says: a function of (number of request, body) -> fault.

    `count` says how it counts, `heeds_limit` whether ``max_tokens`` cuts answers off.
    `models` are the names on its list; with None it has no list.
    """

    daemon_threads = True
    request_queue_size = 256  # clients that connect at once

    def __init__(self, faults, count, heeds_limit, models=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = faults
        self.count = count
        self.heeds_limit = heeds_limit
        self.models = models
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"
        self.bodies = []  # of all requests, in order
        self.keys = []
        self.times = []
        self.n_running = self.most_running = 0
        self.lock = threading.Lock()

    def handle_error(self, request, client_address):
        pass  # clients that have hung up


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.server.models is None:
            self.reply(404, {"error": {"message": "no such route"}})
        else:
            self.reply(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self):
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append({**request, "path": self.path})
            server.keys.append(self.headers["Authorization"])
            server.times.append(time.monotonic())
            server.n_running += 1
            server.most_running = max(server.most_running, server.n_running)
        limit = request.get("max_tokens") if server.heeds_limit else None
        choices = _choices(request, limit)
        self.usage = server.count(choices)
        try:
            (server.faults(number, request) or keep(None))(self, choices)
        finally:
            with server.lock:
                server.n_running -= 1

    def answer(self, choices):
        content = {"choices": choices, "usage": self.server.count(choices)}
        self.reply(200, {key: value for key, value in content.items() if value})

    def reply(self, code, content, cut=None, **headers):
        text = json.dumps(content).encode()[:cut]
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *message):
        pass


def _choices(request, limit):
    """Answers that tell prompt, seed and choice, of `limit` words at most."""
    prompt = request.get("prompt") or request["messages"][-1]["content"]
    choices = []
    for i in range(request.get("n", 1)):
        text = f"{prompt} {request.get('seed')} {i}"
        cut = " ".join(text.split()[:limit])
        content = (
            {"message": {"content": cut}} if "messages" in request else {"text": cut}
        )
        finish = "stop" if cut == text else "length"
        choices.append({"finish_reason": finish, "index": i, **content})
    return choices


@contextmanager
def serving(
    faults=lambda number, body: None, *, count=count_all, heeds_limit=True, models=None
):
    """Run a faulty server while the block runs."""
    with FaultyServer(faults, count, heeds_limit, models) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
