"""A project's whole job, done with the Python packages of today. Started by `run`."""

import sys
from pathlib import Path

from command_line import CommandLine
from library import Library
from sandbox import Sandbox
from steps import Tally


def main():
    folder = Path(sys.argv[1])
    sandbox = Sandbox()
    tally = Tally()
    tally.walk(Library(sandbox, folder / "library"))
    tally.walk(CommandLine(sandbox, folder / "command_line"))
    # Reads its settings once, at import.
    from django_app import DjangoApp

    with DjangoApp(sandbox, folder / "django_app") as app:
        tally.walk(app)
    print(f"\n{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
