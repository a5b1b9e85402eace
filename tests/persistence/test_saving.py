"""What is refused at saving, where a policy may go, and what a crash leaves."""

import os

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from policies import MLP, RIDGE, data_file, run
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_adaalloc import AdaptiveAllocator, DummyAllocator, RewardRegressor
from sklearn_adaalloc.persistence import load_policy, save_policy

# What is not saved


def double(X):
    return 2 * X


class OwnScaler(StandardScaler):
    """A class that nobody but this file knows."""


class NotAPolicy(BaseEstimator):
    """It cannot predict."""


class TestRefusedAtSaving:
    @pytest.mark.parametrize(
        ("transformer", "name"),
        [
            (FunctionTransformer(double), "double"),
            (FunctionTransformer(lambda X: X), "<lambda>"),
            (FunctionTransformer(np.random.default_rng(0).permuted), "permuted"),
            (FunctionTransformer(kw_args={"own": double}), "double"),
            (FunctionTransformer(kw_args={"x": np.array([double])}), "double"),
            (FunctionTransformer(kw_args={"x": os.system}), "system"),
            (OwnScaler(), "OwnScaler"),
        ],
        ids=["function", "lambda", "method", "in dict", "in array", "system", "class"],
    )
    def test_what_is_not_scikit_learns(self, table, tmp_path, transformer, name):
        policy = make_pipeline(transformer, AdaptiveAllocator(RIDGE).fit(*table))
        with pytest.raises(ValueError, match=f"{name}.*load_policy would not trust"):
            save_policy(policy, tmp_path / "policy")
        assert not (tmp_path / "policy").exists()

    def test_trees_whose_indices_are_not_checked(self, table, tmp_path):
        forest = RewardRegressor(RandomForestRegressor(2, random_state=0)).fit(*table)
        with pytest.raises(ValueError, match=r"_tree\.Tree.*would not trust.*no trees"):
            save_policy(forest, tmp_path)

    def test_categories(self, table, tmp_path):
        X = np.round(table[0] + 10)
        model = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0])
        policy = RewardRegressor(model).fit(X, table[1])
        with pytest.raises(
            ValueError, match=r"categorical features\. Expected numbers"
        ):
            save_policy(policy, tmp_path)

    def test_a_search_as_a_whole(self, table, tmp_path):
        policy = AdaptiveAllocator(RIDGE)
        search = GridSearchCV(policy, {"budget": [1, 2]}, cv=2).fit(*table)
        with pytest.raises(ValueError, match="of a search, save best_estimator_"):
            save_policy(search, tmp_path)

    def test_what_skops_does_not_know(self, table, tmp_path):
        transformer = FunctionTransformer(kw_args={"own": iter([])})
        policy = make_pipeline(transformer, clone(RIDGE).fit(*table))
        with pytest.raises(ValueError, match=r"Pipeline holds .*list_iterator"):
            save_policy(policy, tmp_path)

    @pytest.mark.parametrize(
        "policy", [None, AdaptiveAllocator, NotAPolicy(), StandardScaler(), "policy"]
    )
    def test_what_is_no_policy(self, tmp_path, policy):
        with pytest.raises(ValueError, match=r"policy=.* is no policy. Expected a fit"):
            save_policy(policy, tmp_path)

    def test_before_fit(self, tmp_path):
        with pytest.raises(NotFittedError, match="not fitted"):
            save_policy(AdaptiveAllocator(RIDGE), tmp_path)


class TestWhereToSave:
    def test_folders_are_made(self, policy, table, tmp_path):
        save_policy(policy, tmp_path / "new" / "policy")
        restored = load_policy(str(tmp_path / "new" / "policy"))
        assert_array_equal(restored.predict(table[0]), policy.predict(table[0]))

    def test_a_policy_is_replaced_and_nothing_of_it_stays(self, saved, table):
        save_policy(DummyAllocator(budget=3).fit(*table), saved)
        assert load_policy(saved).budget == 3
        assert sorted(file.name for file in saved.iterdir()) == sorted(
            [data_file(saved, "estimator.skops").name, "manifest.json"]
        )

    def test_files_of_others_in_a_policy_are_left_alone(self, saved, policy):
        (saved / "README.md").write_text("Serves the first 10 %.")
        save_policy(policy, saved)
        assert (saved / "README.md").read_text() == "Serves the first 10 %."

    def test_a_folder_of_somebody_else(self, policy, tmp_path):
        (tmp_path / "thesis.tex").write_text("Chapter 1")
        with pytest.raises(ValueError, match=r"holds 'thesis.tex' and is no policy"):
            save_policy(policy, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]

    @pytest.mark.parametrize("text", ["{}", "[]", '{"format": "web extension"}'])
    def test_a_manifest_of_somebody_else(self, policy, tmp_path, text):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json is another program's"):
            save_policy(policy, tmp_path)
        assert (tmp_path / "manifest.json").read_text() == text

    def test_a_file(self, policy, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match=r"is a file\. Expected a folder"):
            save_policy(policy, tmp_path / "file")

    def test_a_link_to_a_policy_is_followed(self, saved, table, tmp_path):
        (tmp_path / "current").symlink_to(saved)
        save_policy(DummyAllocator(budget=3).fit(*table), tmp_path / "current")
        assert (tmp_path / "current").is_symlink()
        assert (
            load_policy(tmp_path / "current").budget == load_policy(saved).budget == 3
        )

    def test_a_full_disk_leaves_the_old_policy(self, saved, table, monkeypatch):
        before = sorted(saved.iterdir())

        def fail(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            save_policy(DummyAllocator(budget=3).fit(*table), saved)
        assert sorted(saved.iterdir()) == before
        assert load_policy(saved).budget == 2

    def test_what_a_killed_save_left_is_removed_an_hour_later(self, saved, policy):
        old = saved / "estimator-0123456789abcdef.skops"
        new = saved / "tensors-0123456789abcdef.safetensors"
        for file in (old, new):
            file.write_bytes(b"half")
        os.utime(old, (0, 0))
        save_policy(policy, saved)
        assert not old.exists()
        assert new.exists()  # may belong to a save that is under way


# Crashes

CRASHES = """
import os, signal, sys, time
import joblib, safetensors.numpy, skops.io
from sklearn_adaalloc.persistence import load_policy, save_policy

old, new = joblib.load("policies.joblib")
save_policy(old, "warm-up")
path = os.path.abspath("policy")

def killed(step):
    # Whether a save of the new policy was killed before its given step on the disk.
    pid = os.fork()
    if pid == 0:
        left = [step]
        def hook(event, arguments):
            if event in STEPS and path in str(arguments[0]):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
        sys.addaudithook(hook)
        save_policy(new, path)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL

def killed_within(seconds):
    # Whether a save of the new policy had not ended after that time, and was killed.
    pid = os.fork()
    if pid == 0:
        save_policy(new, path)
        os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1] == signal.SIGKILL

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.listdir", "os.scandir"}
"""


@pytest.fixture
def two_policies(table, tmp_path):
    """Folder with the old policy, of budget 1, and the new one, of budget 2."""
    policies = [AdaptiveAllocator(MLP, budget=b).fit(*table) for b in (1, 2)]
    joblib.dump(policies, tmp_path / "policies.joblib")
    return tmp_path


@pytest.mark.slow
class TestCrashes:
    def test_at_every_step_the_old_policy_or_the_new_one_is_left(self, two_policies):
        script = """
step = 0
while True:
    save_policy(old, path)
    if not killed(step):
        break
    print(load_policy(path).budget)
    step += 1
print(load_policy(path).budget)
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(left) == {1, 2}
        assert sorted(left) == left  # the old one up to some step, then the new one
        assert len(left) >= 10

    def test_the_first_save_leaves_a_policy_or_none(self, two_policies):
        script = """
import shutil
step = 0
while True:
    shutil.rmtree(path, ignore_errors=True)
    if not killed(step):
        break
    try:
        print(load_policy(path).budget)
    except ValueError as error:
        assert "is not a policy: it has no manifest.json" in str(error), error
        print(0)
    save_policy(new, path)
    assert load_policy(path).budget == 2
    step += 1
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(left) == {0, 2}
        assert sorted(left) == left

    def test_at_any_time_the_old_policy_or_the_new_one_is_left(self, two_policies):
        script = """
start = time.perf_counter()
save_policy(new, path)
seconds = (time.perf_counter() - start) / 50
save_policy(old, path)
while killed_within(seconds):  # a busy machine only makes it a longer row
    print(load_policy(path).budget)
    save_policy(old, path)
    seconds *= 1.1
print(load_policy(path).budget)
"""
        left = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert len(left) >= 10
        assert left[0] == 1
        assert left[-1] == 2
        assert set(left) == {1, 2}

    def test_readers_and_writers_at_once(self, two_policies):
        script = """
save_policy(old, path)
writers = []
for policy in (old, new):
    pid = os.fork()
    if pid == 0:
        for i in range(30):
            save_policy(policy, path)
        os._exit(0)
    writers.append(pid)
for i in range(100):
    print(load_policy(path).budget)
for pid in writers:
    assert os.waitpid(pid, 0)[1] == 0
print(load_policy(path).budget)
"""
        read = [int(budget) for budget in run(CRASHES + script, two_policies).split()]
        assert set(read) == {1, 2}
