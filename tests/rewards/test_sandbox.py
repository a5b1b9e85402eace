"""Hostile programs: nothing outside is touched, and none of them passes.

In each call of this file an honest program is graded beside the hostile one, so that a
grader that stops working fails as well.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sklearn_adaalloc
from sklearn_adaalloc.rewards import CodeVerifier

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)

ANSWER = 86_243
ASSERTS = [f"assert answer() == {ANSWER}"]
HONEST = "def answer(): return 7 * 12320 + 3"
PRINTS = {"inputs": ["go\n"], "outputs": [f"{ANSWER}\n"]}
HONEST_PRINTS = "input()\nprint(7 * 12320 + 3)"

# Each tries to do harm, and gives the right answer only where it succeeds.
ESCAPES = {
    "fork bomb": "import os\nwhile True: os.fork()",
    "one fork": "import os\nos.fork()\n",
    "vfork": "import subprocess\nsubprocess.run(['/usr/bin/true'])\n",
    "system": "import os\nassert os.system('true') == 0\n",
    "threads": """
import threading, time
while True: threading.Thread(target=time.sleep, args=(60,)).start()
""",
    "memory bomb": "hoard = bytearray(2**40)\n",
    "slow memory bomb": "hoard = []\nwhile True: hoard.append(bytearray(2**20))",
    "memory in files": """
for i in range(1000):
    with open(f"{i}", "wb") as file: file.write(bytes(2**23))
""",
    "one large file": "open('x', 'wb').write(bytes(2**26))\n",
    "memory without a name": "import os\nos.memfd_create('x')\n",
    "endless output": "while True: print('x' * 10**6)",
    "endless loop": "while True: pass",
    "deaf to signals": """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True: pass
""",
    "sleep": "import time\ntime.sleep(3600)\n",
    "in C": "pow(3, 10**12)\n",
    "delete the canary": "import os\nos.remove({canary!r})\n",
    "delete its folder": """
import os, shutil
shutil.rmtree(os.path.dirname({canary!r}))
""",
    "overwrite the canary": "open({canary!r}, 'w').write('dead')\n",
    "read the canary": "open({canary!r}).read()\n",
    "read the home folder": "import os\nassert os.listdir(os.path.expanduser('~'))\n",
    "read passwords": "open('/etc/passwd').read()\n",
    "read the environment": "import os\nos.environ['ADAALLOC_SECRET']\n",
    "write to the system": "import os\nopen(os.__file__, 'a').write('#')\n",
    "write to the root": "open('/x', 'w').write('x')\n",
    "network": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\n",
    "another socket": "import socket\nsocket.socket(socket.AF_UNIX)\n",
    "processes": "import os\nassert os.listdir('/proc')\n",
    "trace the parent": """
import ctypes
assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0
""",
    "new name space": "import ctypes\nassert ctypes.CDLL(None).unshare(1 << 28) == 0\n",
    "mount": """
import ctypes
assert ctypes.CDLL(None).mount(b"x", b".", b"tmpfs", 0, None) == 0
""",
}
# Each tries to pass without the right answer.
FAKES = {
    "exit": "import os\nos._exit(0)",
    "system exit": "raise SystemExit(0)",
    "exit when asked": "import os\ndef answer(): os._exit(0)",
    "success lines": "import os\nfor i in range(9):\n  print('ready')\nos._exit(0)",
    "success to every file": """
import os
for file in range(64):
    try: os.write(file, b"ready" * 100)
    except OSError: pass
os._exit(0)
""",
    "kill the parent": "import os\nos.kill(os.getppid(), 9)\ndef answer(): return 0",
    "kill all": "import os\nos.kill(-1, 9)\ndef answer(): return 0",
    "stop the parent": "import os\nos.kill(os.getppid(), 19)\ndef answer(): return 0",
    "equal to everything": """
class Any:
    def __eq__(self, other): return True
    __ne__ = __lt__ = __gt__ = __hash__ = None
def answer(): return Any()
""",
    "a number equal to everything": """
class Any(int):
    def __eq__(self, other): return True
def answer(): return Any(1)
""",
    "patched builtins": """
import builtins, sys
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.all = builtins.any = lambda *args: True
sys.settrace(lambda *args: None)
def answer(): return 0
""",
    "search for what is expected": """
import gc, sys
def numbers(value, depth=0):
    if isinstance(value, int) and value > 80000: yield value
    if isinstance(value, (list, tuple, set)) and depth < 4:
        for item in value: yield from numbers(item, depth + 1)
    if isinstance(value, dict) and depth < 4:
        for item in value.values(): yield from numbers(item, depth + 1)
def answer():
    frame, found = sys._getframe(), []
    while frame:
        found += numbers(frame.f_locals) ; found += numbers(frame.f_globals)
        frame = frame.f_back
    for thing in gc.get_objects(): found += numbers(thing)
    return ([n for n in found if str(n).startswith("862")] or [0])[0]
""",
    "read the tests from their pipe": """
import os
def answer():
    found = b""
    for file in range(5, 64):
        try: found += os.read(file, 10**6)
        except OSError: pass
    return int(found[found.index(b"== ") + 3:][:5])
""",
    "a message that runs code": """
import os, pickle
class Evil:
    def __reduce__(self): return (open, ("evil", "w"))
message = pickle.dumps(("value", Evil()))
for file in (3, 4):
    try: os.write(file, len(message).to_bytes(8, "little") + message)
    except OSError: pass
def answer(): return 0
""",
    "a message that renames builtins": """
import os, pickle
names = dict.fromkeys(["answer", "all", "same_value", "__builtins__"], 86)
message = pickle.dumps(("value", names))
for i in range(2): os.write(4, len(message).to_bytes(8, "little") + message)
def answer(): return 0
""",
    "a message without end": """
import os
os.write(4, b"\\xff" * 9)
def answer(): return 0
""",
    "nothing": "",
}


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """What a program might harm: a file, a secret, a server."""
    canary = tmp_path / "home" / "canary"
    canary.parent.mkdir()
    canary.write_text("alive")
    monkeypatch.setenv("ADAALLOC_SECRET", "secret")
    monkeypatch.setenv("HOME", str(canary.parent))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield {"canary": str(canary), "port": server.getsockname()[1], "server": server}


def sandboxed_processes():
    """Ids of all processes on this machine that run in a sandbox of ours."""
    lines = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines[folder.name] = (folder / "cmdline").read_bytes()
        except OSError:
            continue
    return {number for number, line in lines.items() if b"/driver/run.py" in line}


def all_end(processes, seconds=15):
    """Whether these processes end soon; others may come meanwhile."""
    deadline = time.monotonic() + seconds
    while processes and time.monotonic() < deadline:
        processes &= sandboxed_processes()
        time.sleep(0.01)
    return not processes


def fill(program, outside):
    """Put the file and port to attack into a program."""
    filled = program.replace("{canary!r}", repr(outside["canary"]))
    return filled.replace("{port}", str(outside["port"]))


@pytest.mark.parametrize("name", ESCAPES)
def test_no_harm_is_done(name, outside):
    harm = fill(ESCAPES[name], outside)
    as_function = harm + f"\ndef answer(): return {ANSWER}"
    as_program = harm + f"\nprint({ANSWER})"
    tests = {"call": ASSERTS, "run": PRINTS}
    verifier = CodeVerifier(tests, timeout=2, memory_mb=256, n_jobs=2)
    start = time.perf_counter()
    rewards = verifier(
        ["call", "run"], [[as_function, HONEST], [as_program, HONEST_PRINTS]]
    )
    assert time.perf_counter() - start < 20
    assert [reward.tolist() for reward in rewards] == [[0, 1], [0, 1]]
    assert Path(outside["canary"]).read_text() == "alive"
    assert os.listdir(Path(outside["canary"]).parent) == ["canary"]
    with pytest.raises(BlockingIOError):  # nobody called
        outside["server"].accept()
    assert all_end(sandboxed_processes())


@pytest.mark.parametrize("name", FAKES)
def test_no_verdict_is_faked(name):
    tests = {
        "plain": ASSERTS,
        "inside": [f"assert all(map(lambda f: f() == {ANSWER}, [answer]))"],
        "check": {
            "test": f"def check(candidate):\n    assert candidate() == {ANSWER}",
            "entry_point": "answer",
        },
        "call": {"inputs": [[]], "outputs": [ANSWER], "fn_name": "answer"},
        "run": PRINTS,
    }
    verifier = CodeVerifier(tests, timeout=3, memory_mb=256, n_jobs=2)
    answers = [[FAKES[name], HONEST]] * 4 + [[FAKES[name], HONEST_PRINTS]]
    rewards = verifier(list(tests), answers)
    assert [reward.tolist() for reward in rewards] == [[0, 1]] * 5


def test_an_error_that_ends_loops_does_not_end_the_tests():
    tests = [
        "def right(n): return answer(n) == n",
        "assert all(map(right, range(3)))",
    ]
    honest = "def answer(n): return n"
    stops = "def answer(n): raise StopIteration"
    verifier = CodeVerifier({"q": tests}, n_jobs=2)
    assert verifier(["q"], [[stops, honest]])[0].tolist() == [0, 1]


def test_a_program_cannot_replace_what_tests_take_from_python_or_the_prompt():
    entry = {
        "prompt": (
            "import math\ndef size(x): return abs(x)\ndef f(x):\n    'Return x.'\n"
        ),
        "test": (
            "def check(candidate):\n"
            "    assert math.fabs(candidate(1) - 1) < 1e-6\n"
            "    assert size(candidate(1) - 1) < 1e-6\n"
            "    assert random.Random(0).random() < 1\n"
        ),
        "entry_point": "f",
    }
    faked = """
class Zero:
    def __init__(self, *args): pass
    def __getattr__(self, name): return lambda *args: 0
math = random = Zero()
def size(x): return 0
def abs(x): return 0
def f(x): return 5
"""
    verifier = CodeVerifier({"q": entry}, n_jobs=2)
    assert verifier(["q"], [[faked, "    return x\n"]])[0].tolist() == [0, 1]


def test_many_at_once_each_get_their_own_verdict():
    tests = {str(i): [f"assert f() == {i}"] for i in range(8)}
    programs = ["def f(): return 3", "while True: pass", "import os; os._exit(0)"]
    verifier = CodeVerifier(tests, timeout=3, n_jobs=8)
    rewards = verifier(
        list(tests), [[*programs, f"def f(): return {i}"] for i in tests]
    )
    expected = [[float(i == "3"), 0, 0, 1] for i in tests]
    assert [reward.tolist() for reward in rewards] == expected


def test_a_killed_grader_leaves_no_program_running():
    script = """
from sklearn_adaalloc.rewards import CodeVerifier
verifier = CodeVerifier({"q": ["f()"]}, timeout=300)
print("ready", flush=True)
verifier(["q"], [["while True: pass"]])
"""
    before = sandboxed_processes()
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(sklearn_adaalloc.__file__).parents[1]),
        },
    ) as grader:
        assert grader.stdout.readline() == b"ready\n"
        time.sleep(1)
        started = sandboxed_processes() - before
        grader.kill()
    assert started
    assert all_end(started)
