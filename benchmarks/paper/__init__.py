"""The paper's experiments: every setting, table and figure from one command."""
