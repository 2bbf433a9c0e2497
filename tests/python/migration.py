"""Compares docs/migrating-from-ohapi.md with the package."""

import re
from importlib.metadata import distribution
from pathlib import Path

from steps import same

PAGE = Path(__file__).parents[2] / "docs" / "migrating-from-ohapi.md"


def _written():
    """The options in the guide, by command."""
    tools = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        name, rest = section.split("\n", 1)
        rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", rest, re.MULTILINE)
        tools[name] = sorted(option for theirs, _ in rows for option in theirs.split(", "))
    return tools


def _installed():
    """The options of the package's commands, by command."""
    tools = {}
    for entry in distribution("open-humans-api").entry_points:
        if entry.group == "console_scripts":
            options = [option for param in entry.load().params for option in param.opts]
            tools[entry.name] = sorted(options)
    return tools


class Migration:
    """docs/migrating-from-ohapi.md maps open-humans-api's commands to oh"""

    def commands(self):
        """every ohproj-* and ohpub-* command has a section"""
        installed = sorted(_installed())
        assert len(installed) == 9, f"only {installed} are installed"
        same("the sections", sorted(_written()), installed)

    def options(self):
        """every option of a command has a row, and no other option"""
        written = _written()
        for tool, options in _installed().items():
            same(f"the options of {tool}", written[tool], options)
