"""The process of the tests: calls the program and decides whether it passes.

Runs inside the sandbox. The tests are trusted; messages of the program are not.
"""

import operator
import sys
from contextlib import suppress

from sklearn_adaalloc.rewards._programs import wire
from sklearn_adaalloc.rewards._programs.contest import same_text, same_value
from sklearn_adaalloc.rewards._programs.peer import Peer
from sklearn_adaalloc.rewards._programs.stand_ins import RemoteType, is_stand_in


def verdict(tests, source, sink):
    """Run tests on the program behind the files `source` and `sink`.

    :func:`~sklearn_adaalloc.rewards._programs.sandbox.run_tests` describes `tests`.

    Returns the tests' code word if the program passes, the code word and the reason as
    text if the verdict is unknown, and nothing if the program fails.
    """
    passed = judge(tests, Peer(source, sink, guarded=True, operations={}))
    if isinstance(passed, str):
        return tests["code_word"] + passed.encode(errors="replace")[:1000]
    return tests["code_word"] if passed else b""


def judge(tests, peer):
    """Whether the program passes; the reason as text if this is unknown."""
    try:
        run_tests(tests, peer)
        passed = True
    except BaseException:  # a program may make the tests raise anything
        passed = False
    if peer.broken or peer.failed:
        return False
    return peer.unknown or passed


def run_tests(tests, peer):
    """Load the program and run the tests; raises if a test fails."""
    peer.ends_loops = tests["ends_loops"]
    peer.ask("load")
    module = sys.modules["tests"] = type(sys)("tests")
    namespace = Names(peer, module.__dict__)
    namespace |= {"cases": tests["cases"], "run": lambda text: peer.ask("run", text)}
    namespace |= {"same_text": same_text, "same_value": same_value}
    namespace["isinstance"] = instance_check(peer)
    exec(compile(tests["setup"], "<setup>", "exec"), namespace)
    namespace.find(set(tests["names"]) - namespace.keys(), tests["required"])
    if tests["unittest"]:
        _import("unittest").main = lambda *args, **options: None  # see below
    namespace.update({name: _import(name) for name in tests["modules"]})
    peer.notes = Patches(tests["patched"], tests["seeds"]).notes
    exec(compile(tests["source"], "<tests>", "exec"), namespace)
    for name in tests["functions"]:
        namespace[name]()
    if "unittest" in sys.modules:
        run_test_cases(namespace)


def _import(name):
    return __import__(name)


def instance_check(peer):
    """`isinstance` for tests; the verdict is unknown if a stand-in cannot tell."""

    def check(value, kind):
        found = isinstance(value, kind)
        if not found and is_stand_in(value) and not isinstance(value, RemoteType):
            for each in _classes(kind):
                if not _is_told_by_stand_ins(each):
                    peer.give_up(
                        f"the tests ask whether an object of the program is a "
                        f"{each.__name__!r}"
                    )
        return found

    return check


def _classes(kind):
    if isinstance(kind, tuple):
        for each in kind:
            yield from _classes(each)
    elif isinstance(kind, type):
        yield kind


def _is_told_by_stand_ins(cls):
    """Whether a stand-in is an instance of a class exactly when its object is."""
    by_methods = "__subclasshook__" in vars(cls)  # Iterable, Callable, ...
    if isinstance(cls, RemoteType) or wire.tag_of(cls) is not None or by_methods:
        return True
    return cls in (object, bool, type(None), type) or issubclass(cls, BaseException)


class Names(dict):
    """Global names of the tests. Values of the program are read anew at each use."""

    def __init__(self, peer, names):
        super().__init__(names)
        self.peer, self.live = peer, set()

    def find(self, wanted, required):
        """Get all required names, and wanted names if the program has them."""
        found = self.peer.ask("find", [*wanted, *required])
        for name in [name for name in wanted if name in found] + required:
            value = found[name]
            if isinstance(value, RemoteType) and name[:1].isupper():
                value._named_ = True  # the tests name this class
            if is_stand_in(value) or name in required:
                self[name] = value
            else:
                self.live.add(name)

    def __missing__(self, name):
        if name in self.live:
            return self.peer.ask("find", [name])[name]
        raise KeyError(name)


class Patches:
    """Finds what the tests replace in Python's modules while they run.

    It checks `modules`, builtins, and the streams and arguments of sys. With `seeds`,
    it also checks the state of the module random.
    """

    def __init__(self, modules, seeds):
        self.sent = {}
        self.originals = {}
        for name in {"builtins", *modules} - {"sys"}:
            with suppress(ImportError):  # it may not be the name of a module
                self.originals[name] = dict(vars(__import__(name, fromlist=["*"])))
        self.streams = {
            n: getattr(sys, n) for n in ("stdin", "stdout", "stderr", "argv")
        }
        self.random = sys.modules.get("random") if seeds else None
        self.state = self.random and self.random.getstate()

    def notes(self, item):
        """Notes for the program: new patches, and patches that were undone."""
        patches = dict(self.changes())
        told = [
            [*key, [item(new)]]
            for key, new in patches.items()
            if key not in self.sent or self.sent[key] is not new
        ]
        told += [[*key, "original"] for key in self.sent.keys() - patches.keys()]
        self.sent = patches
        notes = {"patches": told} if told else {}
        if self.random is not None and self.random.getstate() != self.state:
            self.state = self.random.getstate()
            notes["random"] = item(self.state)
        return notes

    def changes(self):
        for name, old in self.streams.items():
            if getattr(sys, name) is not old:
                yield ("sys", name), getattr(sys, name)
        for module, names in self.originals.items():
            now = vars(sys.modules[module])
            if len(now) == len(names) and all(
                map(operator.is_, now.values(), names.values())
            ):
                continue
            for name, value in now.items():
                if names.get(name, self) is not value and not name.startswith("__"):
                    yield (module, name), value


def run_test_cases(namespace):
    """Run the unittest classes of the tests; AssertionError if one fails."""
    import unittest

    class Result(unittest.TestResult):
        passed = 0

        def addSuccess(self, test):
            self.passed += 1

    for cls in list(namespace.values()):
        if isinstance(cls, type) and issubclass(cls, unittest.TestCase):
            if cls.__module__ != "tests":
                continue
            result = Result()
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(cls)
            suite.run(result)
            # A program may raise an error that unittest counts as a skipped test.
            assert result.wasSuccessful()
            assert result.passed == suite.countTestCases()
