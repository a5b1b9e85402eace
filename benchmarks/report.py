"""Print a table and write it as CSV: what every benchmark ends with."""

import csv
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def format_value(value):
    """Four significant places for numbers, everything else as it is."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def print_table(rows, columns=None):
    """Print dicts as aligned columns."""
    columns = columns or list(rows[0])
    cells = [columns] + [
        [format_value(row.get(c, "")) for c in columns] for row in rows
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)))
    print()


def write_csv(rows, path):
    """Write dicts as CSV, numbers with six digits, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: f"{value:.6g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
            )
    print(f"wrote {path}")
