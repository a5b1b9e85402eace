"""All of `benchmarks.scale`: what is measured here, and how far it goes.

    python -m benchmarks.scale

Runs `benchmarks.scale.budgets`, then `benchmarks.scale.arithmetic` on its results. It
needs Ray and about 8 GB of memory, and starts and stops its clusters itself.
"""

from benchmarks.report import RESULTS
from benchmarks.scale import arithmetic, budgets

if __name__ == "__main__":
    output = RESULTS / "scale"
    budgets.run([10**5, 10**6, 10**7], [1, 2, 4], output)
    arithmetic.run(output)
