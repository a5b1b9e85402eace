"""Programs that a language model wrote, run in a sandbox and judged by tests."""
