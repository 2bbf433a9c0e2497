"""Prints the scores of a Lighthouse report, and fails if one is below 100."""

import json
import sys

page, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    report = json.load(file)
if report.get("runtimeError"):
    sys.exit(f"{page}: {report['runtimeError']['message']}")
scores = {name: round(100 * category["score"]) for name, category in report["categories"].items()}
print(page, scores)
failed = [
    audit["title"]
    for category in report["categories"].values()
    if category["score"] < 1
    for reference in category["auditRefs"]
    if reference["weight"] > 0
    for audit in [report["audits"][reference["id"]]]
    if audit["score"] is not None and audit["score"] < 1
]
if any(score < 100 for score in scores.values()):
    sys.exit(f"{page}: {failed}")
