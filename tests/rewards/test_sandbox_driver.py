"""What tests and program say to each other in the sandbox, without the sandbox.

The program's side runs in a thread here, so nothing in this file is a check of safety:
those are in `test_sandbox.py`.
"""

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from threading import Thread

import pytest

pytest.importorskip("resource", reason="the driver needs a POSIX system")
from sklearn_adaalloc.rewards import _sandbox_driver as driver

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

    def load(program=PROGRAM):
        monkeypatch.setitem(sys.modules, "program", None)
        requests, replies = os.pipe(), os.pipe()
        job = {"program": program, "reads_input": False, "filter": b""}

        def serve():
            with suppress(EOFError):
                driver.serve(job, requests[0], replies[1])

        threads.append(Thread(target=serve))
        threads[-1].start()
        ends.extend([requests[1], replies[0], requests[0], replies[1]])
        return driver.Child(requests[1], replies[0])

    yield load
    for number, end in enumerate(ends):
        os.close(end)
        if number % 4 == 0:
            threads[number // 4].join()


@pytest.fixture
def program(talk):
    """Function that finds what the program calls a name."""
    child = talk()
    assert child.reply() is None  # it is loaded
    return lambda name: child.ask("find", [name])[name]


# What the tests see


@pytest.mark.parametrize("value", [None, True, 2, 0.5, "é", b"x", [1, (2, {3: {4}})]])
def test_plain_data_comes_back_as_it_is(program, value):
    returned = program("same")(value)
    assert returned == value
    assert type(returned) is type(value)


def test_what_derives_from_plain_data_comes_back_plain(program):
    first, (second, third) = program("counts")()
    assert (first, second, third) == (3, 4, {5: {6}})
    assert {type(first), type(second), *map(type, third)} == {int}


def test_other_objects_stay_with_the_program(program):
    box = program("Box")("yes", 1)
    assert type(box) is driver.Remote
    assert (box.size, box[1], len(box), bool(box), str(box)) == (2, 1, 2, True, "a box")
    box.add(2, twice=True)
    box.size = 5
    assert ([*box], box.size) == (["yes", 1, 2, 2], 5)
    # An object that the program made is handed back to it as itself.
    assert program("same")(box).items == ["yes", 1, 2, 2]


def test_an_object_is_equal_to_itself_alone(program):
    box = program("Box")()
    assert box == box
    assert box != program("Box")()
    assert box != 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [("value", ValueError), ("own", RuntimeError), ("end", RuntimeError)],
)
def test_errors_arrive_by_the_name_of_a_builtin_one(program, kind, error):
    with pytest.raises(error):
        program("fails")(kind)


def test_an_exit_of_the_program_is_an_error(program):
    with pytest.raises(RuntimeError):
        program("exits")()


def test_a_message_can_name_no_class_or_function():
    message = pickle.dumps(("value", os.system))
    with pytest.raises(pickle.UnpicklingError, match="only plain data"):
        driver.PlainUnpickler(message, None).load()


def test_a_message_that_is_too_long_is_not_read():
    source, sink = os.pipe()
    os.write(sink, (10**12).to_bytes(8, "little"))
    with pytest.raises(EOFError, match="too long"):
        driver.receive(source, at_most=100)
    os.close(sink)
    with pytest.raises(EOFError, match="gone"):
        driver.receive(source)
    os.close(source)


# Verdicts

TESTS = {"setup": "", "source": "", "cases": [], "names": []}
TESTS |= {"required": [], "modules": []}


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
    assert driver.passes(TESTS | tests, talk()) is verdict


@pytest.mark.parametrize("program", ["def f(:", "1 / 0", "import no_such_module"])
def test_a_program_that_does_not_load_fails(talk, program):
    assert driver.passes(TESTS, talk(program)) is False


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
    assert driver.same_text(output, expected) is same


@pytest.mark.parametrize(
    ("value", "expected", "same"),
    [
        ((1, (2, 3)), [1, [2, 3]], True),
        ([1, 2], [1, 2, 3], False),
        ([1], (1,), False),
        ({"a": 1}, {"a": 1}, True),
    ],
)
def test_same_value(value, expected, same):
    assert driver.same_value(value, expected) is same


# Input and output of a program that is run


def communicate(script, data, timeout=60):
    """Let a Python script be fed, and read what it prints."""
    stdin, stdout = os.pipe(), os.pipe()
    command = [sys.executable, "-c", f"import sys, time\n{script}"]
    with subprocess.Popen(command, stdin=stdin[0], stdout=stdout[1]) as process:
        os.close(stdin[0])
        os.close(stdout[1])
        try:
            return driver.communicate(stdin[1], stdout[0], data, timeout)
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
