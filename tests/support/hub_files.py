"""Files of a public set, as somebody who copied them would have them."""

import json
from pathlib import Path


def write_rows(folder, beginning, rows):
    """Write rows as JSON lines: data home, repository and path without the ending."""
    path = Path(folder, f"{beginning}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
