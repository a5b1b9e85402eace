"""Old names of modules and attributes that files and programs may still use.

Pickles and policy files contain the module name of each class. If a file was written by
an earlier version, its old names are imported from the modules of today.
"""

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

_PACKAGE = __name__.partition(".")[0]
MOVED = {
    "_beliefs": "planning._beliefs",
    "_improvement": "planning._rewards",
    "_reward_store": "collect._store",
    "_targets": "curves._targets",
    "decoding._routing": "decoding._router",
    "sampling._dispatch": "sampling._openai.dispatch",
    "sampling._transformers": "sampling._local.sampler",
    "sampling._value_augmented": "sampling._local.value_augmented",
    "sampling._value_guidance": "sampling._local.values",
}
"""Old name of each moved module -> its new name, both inside the package."""
MOVED_CLASSES = {"curves._menu_targets.RateProfiles": ("curves._targets",)}
"""Class -> the modules that it was in while they kept their other classes.

They import it, so that its old name still finds it.
"""


class MovedModules(MetaPathFinder, Loader):
    """Finds modules under their old names."""

    def find_spec(self, fullname, path=None, target=None):
        """Find the names in `MOVED`, and no other."""
        package, _, name = fullname.partition(".")
        known = package == _PACKAGE and name in MOVED
        return ModuleSpec(fullname, self) if known else None

    def exec_module(self, module):
        """Use the moved module itself. A second copy would have different classes."""
        old = module.__name__
        name = MOVED[old.partition(".")[2]]
        sys.modules[old] = importlib.import_module(f"{_PACKAGE}.{name}")


def earlier_names(cls):
    """Full names that a class had in earlier versions.

    Parameters
    ----------
    cls : type
        A class of this package.

    Returns
    -------
    names : list of str

    Examples
    --------
    >>> from sklearn_adaalloc._utils.moved import earlier_names
    >>> from sklearn_adaalloc.curves._targets import Preference
    >>> earlier_names(Preference)
    ['sklearn_adaalloc._targets.Preference']
    """
    module = cls.__module__.partition(".")[2]
    modules = [old for old, new in MOVED.items() if new == module]
    modules += MOVED_CLASSES.get(f"{module}.{cls.__name__}", ())
    return [f"{_PACKAGE}.{old}.{cls.__name__}" for old in modules]


def install():
    """Make old names importable, once per process."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(MovedModules())


def warn_renamed(old, new):
    """Warn that an attribute was renamed. The warning points at the caller's caller."""
    warnings.warn(
        f"the attribute {old} is now called {new}. Use that: {old} will be removed.",
        FutureWarning,
        stacklevel=3,
    )
