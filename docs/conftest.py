"""Which of these files hold tests, and what the code on the pages needs."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports the hub's client

collect_ignore = ["conf.py"]
collect_ignore_glob = [
    f"{folder}/*" for folder in ("_*", "cluster", "examples", "gallery", "generated")
]


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _logs(request, tmp_path, _folder_of_its_own):
    """Logs that evaluation tools wrote, for the page that reads them."""
    if request.node.path.name == "logs.rst":
        tests = Path(__file__).resolve().parents[1] / "tests"
        shutil.copytree(tests / "datasets" / "data" / "logs", tmp_path / "logs")


@pytest.fixture(autouse=True)
def _server(request, monkeypatch):
    """A server in front of the embedded model, for the pages that ask one."""
    if request.node.path.name not in ("serving.rst", "serve.rst"):
        yield
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LM_SERVER", f"http://127.0.0.1:{server.server_port}/v1")
    yield
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answer chats as OpenAI-compatible servers do."""

    lock = threading.Lock()

    def do_POST(self):
        from sklearn_adaalloc.sampling import TransformersSampler

        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = fields["messages"][-1]["content"]
        with self.lock:
            sampler = TransformersSampler(max_new_tokens=24, device="cpu")
            (answers,) = sampler.sample([prompt], fields.get("n", 1))
        choices = [
            {
                "index": i,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": answer},
            }
            for i, answer in enumerate(answers)
        ]
        usage = {"prompt_tokens": len(prompt), "completion_tokens": 3 * len(choices)}
        reply = json.dumps({"choices": choices, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *message):
        pass
