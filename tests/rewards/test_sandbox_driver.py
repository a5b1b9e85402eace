"""What tests and program say to each other in the sandbox, without the sandbox.

The program's side runs in a thread here, so nothing in this file is a check of safety:
those are in `test_sandbox.py`.
"""

import os
import subprocess
import sys
from contextlib import suppress
from threading import Thread

import pytest

pytest.importorskip("resource", reason="the driver needs a POSIX system")
from sklearn_adaalloc.rewards._programs import program_side as _program_side
from sklearn_adaalloc.rewards._programs import tests_side as _tests_side
from sklearn_adaalloc.rewards._programs.contest import same_text, same_value
from sklearn_adaalloc.rewards._programs.peer import Broken, Peer
from sklearn_adaalloc.rewards._programs.stand_ins import Remote
from sklearn_adaalloc.rewards._programs.system_calls import system_call_filter

PROGRAM = """
class Count(int): pass
class Box:
    size = 2
    def __init__(self, *items): self.items = list(items)
    def __getitem__(self, key): return self.items[key]
    def __len__(self): return len(self.items)
    def __bool__(self): return "yes" in self.items
    def __str__(self): return "a box"
    def __eq__(self, other): return True
    def add(self, item, *, twice=False): self.items += [item] * (1 + twice)
    def __iter__(self): return iter(self.items)
class Oddity(Exception): pass
class Solution:
    def method(self, x): return x + 1
def same(value): return value
def counts(): return [Count(3), (Count(4), {Count(5): {Count(6)}})]
def fails(kind): raise {"value": ValueError, "own": Oddity, "end": StopIteration}[kind]
def expected_sum(a, b): return 99
def exits(): raise SystemExit
def add(a, b): return a + b
"""


@pytest.fixture
def talk(monkeypatch):
    """Function that loads a program and returns the tests' end of the conversation."""
    threads, ends = [], []
    monkeypatch.setattr(_program_side.sys, "setrecursionlimit", lambda limit: None)
    monkeypatch.setattr(sys, "argv", sys.argv)

    def load(program=PROGRAM):
        monkeypatch.setitem(sys.modules, "program", None)
        monkeypatch.setitem(sys.modules, "tests", sys.modules.get("tests"))
        requests, replies = os.pipe(), os.pipe()
        job = {"program": program, "preamble": "", "reads_input": False, "filter": b""}

        def serve():
            with suppress(Broken):
                _program_side.serve(job, requests[0], replies[1])

        threads.append(Thread(target=serve))
        threads[-1].start()
        ends.extend([requests[1], replies[0], requests[0], replies[1]])
        return Peer(replies[0], requests[1], guarded=True, operations={})

    yield load
    for number, end in enumerate(ends):
        os.close(end)
        if number % 4 == 0:
            threads[number // 4].join()


@pytest.fixture
def program(talk):
    """Function that finds what the program calls a name."""
    peer = talk()
    assert peer.ask("load") is None
    return lambda name: peer.ask("find", [name])[name]


# What the tests see


@pytest.mark.parametrize("value", [None, True, 2, 0.5, "é", b"x", [1, (2, {3: {4}})]])
def test_plain_data_comes_back_as_it_is(program, value):
    returned = program("same")(value)
    assert returned == value
    assert type(returned) is type(value)


def test_what_changes_in_place_comes_back_as_itself(program):
    value = [1, {"a": [2]}]
    returned = program("same")(value)
    assert returned is value
    assert returned[1]["a"] == [2]


def test_what_derives_from_plain_data_compares_as_plain(program):
    first, (second, third) = program("counts")()
    assert (first, second, third) == (3, 4, {5: {6}})
    assert all(isinstance(count, int) for count in (first, second, *third))


def test_other_objects_stay_with_the_program(program):
    box = program("Box")("yes", 1)
    assert isinstance(box, Remote)
    assert (box.size, box[1], len(box), bool(box), str(box)) == (2, 1, 2, True, "a box")
    box.add(2, twice=True)
    box.size = 5
    assert ([*box], box.size) == (["yes", 1, 2, 2], 5)
    # An object that the program made is handed back to it as itself.
    assert program("same")(box) is box


def test_the_word_of_a_program_does_not_count_against_a_value(program):
    box = program("Box")()
    assert box == program("Box")()  # both are the program's
    assert box != 1
    assert ([box] == [1]) is False


@pytest.mark.parametrize(
    ("kind", "error"),
    [("value", ValueError), ("own", Exception), ("end", RuntimeError)],
)
def test_errors_arrive_by_their_bases(program, kind, error):
    with pytest.raises(error):
        program("fails")(kind)


def test_an_exit_of_the_program_is_one(program):
    with pytest.raises(SystemExit, match=r"^$"):
        program("exits")()


@pytest.fixture
def reader():
    """Function that has the tests' side read a message."""
    source, sink = os.pipe()

    def read(message):
        data = message if isinstance(message, bytes) else message.encode()
        os.write(sink, len(data).to_bytes(8, "little") + data)
        return Peer(source, sink, guarded=True, operations={}).receive()

    yield read
    os.close(source)
    os.close(sink)


def test_a_message_of_plain_data_is_read(reader):
    message = '["value",[0],[["content",2,"list",1,[1]],["tuple",2,[0]]],[],{}]'
    kind, value = reader(message)
    assert kind == "value"
    assert value[0] == 1
    assert value[1][1] is value


@pytest.mark.parametrize(
    "nodes",
    [
        '["global","os","system"]',
        '["module","os"]',
        '["type",["os","system"]]',
        '["type",["builtins","eval"]]',
        '["yours",1]',
        '["mine",2]',
        '["same",2]',
        '["content",1,"list"]',
        '["content",2,"function"]',
        '["tuple",[0]]',
        '["object",2,[1],null],["type",["builtins","int"]]',
        '["ndarray",2]',
        '["no such tag"]',
        "3",
    ],
)
def test_a_message_can_name_no_function_and_nothing_that_did_not_cross(reader, nodes):
    with pytest.raises(Broken, match="makes no sense"):
        reader(f'["value",[0],[{nodes}],[],{{}}]')


@pytest.mark.parametrize("message", ["", "[", "[]", "3", "[" * 10**4, b"\xff", "[] []"])
def test_what_is_no_message_is_refused(reader, message):
    with pytest.raises(Broken, match="makes no sense"):
        reader(message)


def test_a_message_that_is_too_long_is_not_read():
    source, sink = os.pipe()
    os.write(sink, (10**12).to_bytes(8, "little"))
    peer = Peer(source, sink, guarded=True, operations={})
    with pytest.raises(Broken, match="too long"):
        peer.receive()
    os.close(sink)
    with pytest.raises(Broken, match="makes no sense"):
        peer.receive()
    os.close(source)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("value", True),
        ("_inner", True),
        ("method", True),
        ("__name__", True),
        ("__dict__", False),
        ("__class__", False),
        ("__wrapped__", False),
        ("gi_frame", False),
        ("f_globals", False),
    ],
)
def test_names_that_a_program_may_use_of_the_objects_of_tests(name, allowed):
    cls = type("Node", (), {"__module__": "tests", name.strip("_"): 1, name: 1})
    node = cls()
    peer = Peer(0, 0, guarded=True, operations={})
    with pytest.raises(TypeError, match="only objects of the tests"):
        peer.do_getattr(node, name)
    peer.number_of(node)
    if allowed:
        peer.do_getattr(node, name)
    else:
        with pytest.raises(AttributeError, match="has no attribute"):
            peer.do_getattr(node, name)


@pytest.mark.parametrize(
    "name", ["__globals__", "__code__", "__closure__", "x", "func"]
)
def test_a_function_of_the_tests_can_only_be_called(name):
    def function():
        return 3

    function.x = 1
    peer = Peer(0, 0, guarded=True, operations={})
    peer.number_of(function)
    assert peer.do_special(function, "__call__", (), {}) == 3
    with pytest.raises(AttributeError, match="has no attribute"):
        peer.do_getattr(function, name)
    with pytest.raises(TypeError, match="__getattribute__ is not available"):
        peer.do_special(function, "__getattribute__", (name,), {})


# Verdicts

TESTS = {"setup": "", "source": "", "cases": [], "names": []}
TESTS |= {"required": [], "modules": [], "functions": [], "patched": []}
TESTS |= {"ends_loops": False, "unittest": False, "seeds": False}


@pytest.mark.parametrize(
    ("tests", "verdict"),
    [
        ({"names": ["add"], "source": "assert add(1, 2) == 3"}, True),
        ({"names": ["add"], "source": "assert add(1, 2) == 4"}, False),
        ({"required": ["method"], "source": "assert method(1) == 2"}, True),
        ({"required": ["missing"], "source": "pass"}, False),
        ({"names": ["missing"], "source": "missing()"}, False),
        ({"names": ["missing"], "source": "pass"}, True),
        ({"cases": [[1, 2]], "source": "assert cases == [[1, 2]]"}, True),
        ({"modules": ["math"], "source": "assert math.floor(1.5) == 1"}, True),
        # What the prompt defines is not the program's to replace.
        (
            {
                "setup": "def expected_sum(a, b): return a + b",
                "names": ["add", "expected_sum"],
                "source": "assert add(2, 3) == expected_sum(2, 3)",
            },
            True,
        ),
        # Nor does the program reach the tests by a name that they do not use.
        ({"names": ["add"], "source": "same(1)"}, False),
    ],
)
def test_a_program_passes_if_no_test_raises(talk, tests, verdict):
    assert _tests_side.judge(TESTS | tests, talk()) is verdict


@pytest.mark.parametrize("program", ["def f(:", "1 / 0", "import no_such_module"])
def test_a_program_that_does_not_load_fails(talk, program):
    assert _tests_side.judge(TESTS, talk(program)) is False


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ("1 2\n", " 1\n2", True),
        ("1 2", "1 2 3", False),
        ("yes", "no", False),
        ("0.3333333", "0.333333", True),
        ("0.334", "0.333", False),
        ("1000000.5", "1000000.0", True),  # relative where the value is large
        ("1.0000001", "1", False),  # whole numbers are whole
    ],
)
def test_same_text(output, expected, same):
    assert same_text(output, expected) is same


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        ((1, (2, 3)), [1, [2, 3]], True),
        ([1, 2], [1, 2, 3], False),
        ([1], (1,), True),
        ({1: 2}, {"1": 2}, True),
        ({"1": 2, 1: 2}, {"1": 2}, False),
        (0.1 + 0.2, 0.3, True),
        (1, "1", False),
        (float("nan"), 1.0, False),
        (float("inf"), float("inf"), True),
        ({1}, [1], False),
        ({"a": 1}, {"a": 1}, True),
    ],
)
def test_same_value(value, expected, same):
    assert same_value(value, expected) is same


# Input and output of a program that is run


def communicate(script, data, timeout=60):
    """Let a Python script be fed, and read what it prints."""
    stdin, stdout = os.pipe(), os.pipe()
    command = [sys.executable, "-c", f"import sys, time\n{script}"]
    with subprocess.Popen(command, stdin=stdin[0], stdout=stdout[1]) as process:
        os.close(stdin[0])
        os.close(stdout[1])
        try:
            return _program_side.communicate(stdin[1], stdout[0], data, timeout)
        finally:
            process.kill()


@pytest.mark.parametrize("size", [0, 10, 10**6])  # the last is more than a pipe holds
def test_all_input_is_given_and_all_output_read(size):
    data = bytes(range(97, 107)) * (size // 10)
    assert communicate("sys.stdout.write(sys.stdin.read()[::-1])", data) == data[::-1]


def test_a_program_need_not_read_its_input():
    script = "sys.stdin.close(); time.sleep(0.2); print('done')"
    assert communicate(script, bytes(10**6)).strip() == b"done"


@pytest.mark.parametrize(
    "script", ["time.sleep(60)", "while True: print('x' * 10**6)"], ids=["late", "long"]
)
def test_a_program_that_is_late_or_prints_too_much_is_given_up(script):
    with pytest.raises(TimeoutError):
        communicate(script, b"", timeout=3)


# What the kernel is told


def test_the_filter_is_a_list_of_instructions_of_eight_bytes():
    program = system_call_filter()
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096  # the most that Linux takes
