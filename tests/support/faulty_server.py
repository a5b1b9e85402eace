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
        handler.reply(200, {"choices": [choice, *choices[1:]], "usage": USAGE})

    return fault


def body(content):
    """Reply with this in place of what was asked for."""

    def fault(handler, choices):
        handler.reply(200, content)

    return fault


def keep(n_choices):
    """Send fewer choices than asked for."""

    def fault(handler, choices):
        handler.reply(200, {"choices": choices[:n_choices], "usage": USAGE})

    return fault


def without_usage(handler, choices):
    handler.reply(200, {"choices": choices})


USAGE = {"prompt_tokens": 7, "completion_tokens": 12}


class FaultyServer(ThreadingHTTPServer):
    """Answer as `faults` says: a function of (number of request, body) -> fault."""

    daemon_threads = True

    def __init__(self, faults):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = faults
        self.base_url = f"http://127.0.0.1:{self.server_port}/v1"
        self.bodies = []  # of all requests, in order
        self.keys = []
        self.times = []
        self.n_running = self.most_running = 0
        self.lock = threading.Lock()

    def handle_error(self, request, client_address):
        pass  # clients that have hung up


class _Handler(BaseHTTPRequestHandler):
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
        try:
            (server.faults(number, request) or keep(None))(self, _choices(request))
        finally:
            with server.lock:
                server.n_running -= 1

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


def _choices(request):
    """Answers that tell prompt, seed and choice."""
    prompt = request.get("prompt") or request["messages"][-1]["content"]
    texts = [f"{prompt} {request.get('seed')} {i}" for i in range(request.get("n", 1))]
    return [
        {"finish_reason": "stop", "message": {"content": text}, "index": i}
        if "messages" in request
        else {"finish_reason": "stop", "text": text, "index": i}
        for i, text in enumerate(texts)
    ]


@contextmanager
def serving(faults=lambda number, body: None):
    """Run a faulty server while the block runs."""
    with FaultyServer(faults) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
