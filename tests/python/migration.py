"""docs/migrating-from-ohapi.md against the package that it is about."""

import re
from importlib.metadata import distribution
from pathlib import Path

from steps import same

PAGE = Path(__file__).parents[2] / "docs" / "migrating-from-ohapi.md"


def _written():
    """The options the page names, by command."""
    tools = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        name, rest = section.split("\n", 1)
        rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", rest, re.MULTILINE)
        tools[name] = sorted(option for theirs, _ in rows for option in theirs.split(", "))
    return tools


def _installed():
    """The options the package's commands take, by command."""
    tools = {}
    for entry in distribution("open-humans-api").entry_points:
        if entry.group == "console_scripts":
            options = [option for param in entry.load().params for option in param.opts]
            tools[entry.name] = sorted(options)
    return tools


class Migration:
    """docs/migrating-from-ohapi.md, what open-humans-api's commands are in oh"""

    def commands(self):
        """every ohproj-* and ohpub-* command has its section"""
        installed = sorted(_installed())
        assert len(installed) == 9, f"only {installed} are installed"
        same("the sections", sorted(_written()), installed)

    def options(self):
        """every option of each has its row, and no other has"""
        written = _written()
        for tool, options in _installed().items():
            same(f"the options of {tool}", written[tool], options)
