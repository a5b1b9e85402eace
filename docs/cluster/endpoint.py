"""The endpoint with OpenAI's protocol as a deployment of Ray Serve.

    serve run endpoint:app

Each replica is a process with the policy, and all replicas of a node share the state of
one stream, in the SQLite file ADAALLOC_STATE. SQLite locks work on one machine only, so
give each node a file on its own disk. Each node then keeps the budget of the queries
that it answers, and so do all nodes together. A file on a network drive would be
damaged sooner or later.
"""

import os

from ray import serve

from sklearn_adaalloc import load_policy
from sklearn_adaalloc.sampling import OpenAISampler
from sklearn_adaalloc.serving import create_app


def build():
    """Make the application; called in each replica."""
    return create_app(
        load_policy(os.environ["ADAALLOC_POLICY"]),
        OpenAISampler(os.environ["LM_SERVER"], os.environ["LM_MODEL"]),
        os.environ.get("ADAALLOC_REWARD", "math"),
        model="best",
        state=os.environ["ADAALLOC_STATE"],
    )


app = serve.deployment(
    serve.ingress(build)(),
    name="adaalloc",
    num_replicas=2,
    max_ongoing_requests=200,
    health_check_period_s=10,
).bind()
