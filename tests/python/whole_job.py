"""Runs all tasks of a project with the Python packages. Started by `run`."""

import os
import sys
from pathlib import Path

from command_line import CommandLine
from library import Library
from migration import Migration
from sandbox import Sandbox
from steps import Tally


def main():
    folder = Path(sys.argv[1])
    sandbox = Sandbox()
    tally = Tally()
    tally.walk(Library(sandbox, folder / "library"))
    tally.walk(CommandLine(sandbox, folder / "command_line"))
    tally.walk(Migration())
    # Read their settings once, at import.
    from django_app import DjangoApp
    from moving_over import MovingOver, drop, postgres_settings

    postgres = postgres_settings()
    try:
        more = {"postgres": postgres} if postgres else {}
        with DjangoApp(sandbox, folder / "django_app", more) as app:
            tally.walk(app)
            tally.walk(MovingOver(sandbox, folder / "moving_over", "default"))
            if postgres:
                tally.walk(MovingOver(sandbox, folder / "moving_over_postgres", "postgres"))
            else:
                print("SKIPPED: moving over on PostgreSQL: set DATABASE_URL to a server")
                tally.failed += "CI" in os.environ
    finally:
        if postgres:
            drop(postgres)
    print(f"\n{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
