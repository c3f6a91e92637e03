"""Measure something: `python -m benchmarks NAME [options]`.

Every benchmark is a module here with `main(arguments) -> dict`; the dict is printed as JSON on the
last line. Without a name they are listed.
"""

import ast
import importlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    known = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print("usage: python -m benchmarks NAME [options]\n")
        for name in known:
            print(f"  {name:<14} {_summary(name)}")
        return 0
    name = sys.argv[1]
    if name not in known:
        print(f"error: There is no benchmark {name!r}; there are: {', '.join(known)}.")
        return 2
    figures = importlib.import_module(f"benchmarks.{name}").main(sys.argv[2:])
    print(json.dumps(figures))
    return 0


def _summary(name: str) -> str:
    """The first line of a benchmark's docstring, without importing it."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))) or ""
    return text.partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
