"""Which of these files hold tests: the pages and what they include."""

collect_ignore = ["conf.py"]
collect_ignore_glob = ["examples/*", "gallery/*", "generated/*", "_build/*"]
