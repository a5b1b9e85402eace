"""An endpoint with OpenAI's protocol that decides, samples, judges and answers.

Data flows one way: bodies of requests (`_asking`) → answers (`_answering`, over
`_upstream` and `_verdicts`) → bodies of replies (`_replies`). `_app` has the routes,
`_queue` the order of requests. `_running` runs it, in several processes by `_workers`.
"""

from sklearn_adaalloc.serving._app import create_app

__all__ = ["create_app"]
