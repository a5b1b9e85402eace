r"""Read two answers in LaTeX and compare what they mean.

May take for ever, so it runs in workers, which load this folder alone: it imports
nothing else of the package.
"""

from sklearn_adaalloc.rewards._mathematics.formulas.comparing import same
from sklearn_adaalloc.rewards._mathematics.formulas.items import NotRead
from sklearn_adaalloc.rewards._mathematics.formulas.parsing import read

__all__ = ["NotRead", "read", "same"]
