"""Hostile programs at the door through which values cross: none of them passes.

Each knows that the answer is 86243 only where it succeeds in reaching it. An honest
program is graded beside each, so that a grader that stops working fails as well.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from sklearn_adaalloc.rewards import CodeVerifier

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)

ANSWER = 86_243
HONEST = """
def answer(g=None, x=None):
    if g is not None: g(1)
    if isinstance(x, list): x.sort()
    return 7 * 12320 + 3
"""
LIAR = """
class Liar(BASE):
    def __new__(cls, *args): return BASE.__new__(cls)
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return hash(86243)
    def __bool__(self): return True
    def __len__(self): return 1
    def __contains__(self, other): return True
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, other): return 0
    __rsub__ = __sub__
    def __abs__(self): return self
    def __instancecheck__(self, other): return True
def answer(g=None, x=None): return Liar()
"""
# What a program finds out of a callback it writes down, and answers.
DIG = """
def look(thing, depth=0):
    if isinstance(thing, int) and str(thing).startswith("862"): raise Found(thing)
    if depth > 3: return
    for name in ("__globals__", "__code__", "__closure__", "__self__", "__func__",
                 "__dict__", "__class__", "__defaults__", "__wrapped__", "gi_frame",
                 "f_globals", "f_back", "co_consts", "cell_contents", "__builtins__"):
        try: inner = getattr(thing, name)
        except Exception: continue
        look(inner, depth + 1)
        try:
            for part in list(inner.values() if hasattr(inner, "values") else inner):
                look(part, depth + 1)
        except Found: raise
        except Exception: pass
class Found(Exception): pass
def answer(g=None, x=None):
    try: look(g)
    except Found as found: return found.args[0]
    return 0
"""
FORGED = """
import os, sys
def send(text):
    data = text.encode()
    os.write(4, len(data).to_bytes(8, "little") + data)
def answer(g=None, x=None):
    MESSAGES
    return 0
"""
# What a program would leave behind that gets out of the sandbox.
EVIL = Path(tempfile.gettempdir()) / "evil"
FAKES = {
    **{
        f"a lying {base}": LIAR.replace("BASE", base)
        for base in ("object", "int", "float", "str", "list", "dict", "tuple", "set")
    },
    "a lying exception": """
class Bad(AssertionError, metaclass=type): pass
Bad.__bases__
def answer(g=None, x=None): raise Bad
""",
    "stop iteration of its own": """
class Stop(StopIteration): pass
def answer(g=None, x=None): raise Stop
""",
    "a skipped test": """
import unittest
def answer(g=None, x=None): raise unittest.SkipTest
""",
    "a class that claims to be int": """
class Fake:
    __class__ = int
    def __eq__(self, other): return True
def answer(g=None, x=None): return Fake()
""",
    "a class that learns": """
class Learner:
    seen = []
    def __getattr__(self, name): return lambda *args: Learner.seen.extend(args) or 0
    def __eq__(self, other): Learner.seen.append(other); return True
    def __sub__(self, other): Learner.seen.append(other); return self
    def __abs__(self): return 0.0
def answer(g=None, x=None):
    return Learner.seen[-1] if Learner.seen else Learner()
""",
    "a generator without end": """
def answer(g=None, x=None):
    while True: yield 86242
""",
    "a tuple of tuples of tuples": """
def answer(g=None, x=None):
    bomb = ()
    for i in range(60): bomb = (bomb, bomb)
    return bomb
""",
    "a list in itself": """
def answer(g=None, x=None):
    loop = []
    loop.append(loop)
    return loop
""",
    "a huge repr": """
class Big:
    def __repr__(self): return "x" * 10**9
def answer(g=None, x=None): return Big()
""",
    "a code object by pickle": """
import os
class Evil:
    def __reduce__(self): return os.system, ("touch EVIL",)
    def __reduce_ex__(self, protocol): return self.__reduce__()
def answer(g=None, x=None): return [Evil()]
""",
    "what a callback brings": DIG,
    "what a callback's frames bring": """
import sys
def answer(g=None, x=None):
    try: g(object())
    except BaseException as error:
        trace = error.__traceback__
        while trace:
            for value in trace.tb_frame.f_globals.values():
                if isinstance(value, int) and 86000 < value < 87000: return value
            trace = trace.tb_next
    return 0
""",
    "a flood of callbacks": """
def answer(g=None, x=None):
    while True: g(1)
""",
    "callbacks in callbacks": """
import sys
sys.setrecursionlimit(10**6)
def answer(g=None, x=None):
    return answer(g, x) if g is None or g(1) is None else answer(g, x)
""",
    "a changed argument": """
def answer(g=None, x=None):
    if isinstance(x, list): x[:] = [86243] * 9
    return 0
""",
    "an argument kept and changed later": """
import threading, time
def answer(g=None, x=None):
    def later():
        while True:
            if isinstance(x, list): x[:] = [86243]
            time.sleep(0.001)
    threading.Thread(target=later, daemon=True).start()
    return 0
""",
    "a thread that answers later": """
import os, threading
def later():
    data = b'["value",0,[],[],{}]'
    while True: os.write(4, len(data).to_bytes(8, "little") + data)
def answer(g=None, x=None):
    threading.Thread(target=later, daemon=True).start()
    return 0
""",
    "a reply forged": FORGED.replace(
        "MESSAGES", """send('["value",[0],[["global","os","system"]],[],{}]')"""
    ),
    "a type forged": FORGED.replace(
        "MESSAGES", """send('["value",[0],[["type",["os","system"]]],[],{}]')"""
    ),
    "a module forged": FORGED.replace(
        "MESSAGES", """send('["value",[0],[["module","os"]],[],{}]')"""
    ),
    "contents of what never crossed": FORGED.replace(
        "MESSAGES",
        """send('["value",0,[["content",1,"list",1],["content",3,"list",1]],[],{}]')""",
    ),
    "an operation of the tests forged": FORGED.replace(
        "MESSAGES",
        """
    for owner in range(1, 9, 2):
        send('["ask",[0],[["list_"],["yours",%d]],[],{}]' % owner)
        send('["ask",[0],[["content",2,"list","getattr",[1],"__globals__"],'
             '["yours",%d]],[],{}]' % owner)
""",
    ),
    "an unknown verdict forged": FORGED.replace(
        "MESSAGES", """send('["unknown","no idea",[],[],{}]')"""
    ),
    "deeper than JSON is read": FORGED.replace("MESSAGES", "send('[' * 10**6)"),
    "numbers of 10,000 digits": FORGED.replace(
        "MESSAGES", """send('["value",' + "8" * 10000 + ',[],[],{}]')"""
    ),
    "code at the end": """
import atexit, os
class Last:
    def __del__(self): os.write(4, b"x" * 100)
last = Last()
atexit.register(os.write, 4, b"x" * 100)
def answer(g=None, x=None): return 0
""",
    "a patched conversation": """
import sys
for name, module in list(sys.modules.items()):
    if name.endswith((".peer", ".wire", ".contest", ".tests_side")):
        for key in list(vars(module)):
            if not key.startswith("__"): setattr(module, key, lambda *a, **k: 86243)
def answer(g=None, x=None): return 0
""",
}
TESTS = {
    "equal": [f"assert answer() == {ANSWER}"],
    "turned": [f"assert {ANSWER} == answer() and not answer() != {ANSWER}"],
    "close": [f"assert abs(answer() - {ANSWER}) < 1e-6"],
    "member": [f"assert answer() in [{ANSWER}] and answer() in {{{ANSWER}: 1}}"],
    "twice": [
        f"try: answer() == {ANSWER}\nexcept Exception: pass",
        f"assert answer() == {ANSWER}",
    ],
    "callback": [
        f"expected = {ANSWER}\ndef g(x): assert expected > 86000\n"
        f"assert answer(g) == expected and [answer(g)] == [expected]"
    ],
    "argument": [
        f"right = [1, {ANSWER}]\nx = [2, 1]\n"
        "assert [1, answer(None, x)] == right and x == [1, 2]"
    ],
    "loop": [
        f"right = [r == {ANSWER} for r in map(lambda i: answer(), range(2))]\n"
        "assert right == [True, True]"
    ],
    "zipped": [
        f"right = [{ANSWER}]\nx = answer()\nx = x if isinstance(x, list) else [x]",
        "assert len(x) == len(right)",
        "assert all(a == b for a, b in zip(x, right, strict=False))",
    ],
    "unittest": [
        "import unittest\nclass T(unittest.TestCase):\n"
        f"    def test(self): self.assertEqual(answer(), {ANSWER})"
    ],
    "contest": {"inputs": [[]], "outputs": [[ANSWER]], "fn_name": "answer"},
    "float": {"inputs": [[]], "outputs": [ANSWER + 0.5], "fn_name": "answer"},
}


@pytest.mark.parametrize("name", FAKES)
def test_no_verdict_is_faked_at_the_door(name, tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    monkeypatch.setenv("HOME", str(tmp_path))
    verifier = CodeVerifier(TESTS, timeout=3, memory_mb=512, n_jobs=2)
    honest = [HONEST] * (len(TESTS) - 1) + [HONEST.replace("+ 3", "+ 3.5")]
    fake = FAKES[name].replace("EVIL", str(EVIL))
    rewards = verifier(list(TESTS), [[fake, right] for right in honest])
    assert [reward.tolist() for reward in rewards] == [[0, 1]] * len(TESTS)
    assert canary.read_text() == "alive"
    assert not EVIL.exists()


def test_an_assertion_in_a_callback_counts_though_the_program_passes_over_it():
    tests = ["def g(x): assert x == 2, 'two is right'\nassert f(g) is None"]
    swallows = "def f(g):\n    try: g(1)\n    except Exception: pass"
    verifier = CodeVerifier({"q": tests}, n_jobs=2)
    honest = "def f(g): g(2)"
    assert verifier(["q"], [[swallows, honest]])[0].tolist() == [0, 1]


def test_a_context_manager_cannot_swallow_an_assertion():
    tests = ["with cm() as x: assert x == 2"]
    program = """
class cm:
    def __enter__(self): return RESULT
    def __exit__(self, *args): return True
"""
    swallows, honest = (program.replace("RESULT", text) for text in "12")
    verifier = CodeVerifier({"q": tests}, n_jobs=2)
    assert verifier(["q"], [[swallows, honest]])[0].tolist() == [0, 1]
