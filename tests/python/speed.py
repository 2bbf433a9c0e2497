"""Times the Python package's tools and `oh` over the same small files. Started by `speed`."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from sandbox import Sandbox

TIMES = 8


def timed(*command):
    began = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    took = time.monotonic() - began
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return took


def main():
    folder, files, rounds = Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3])
    oh = Path(os.environ["OH"]).absolute()
    tools = Path(sys.executable)
    sandbox = Sandbox()
    here = folder / "here"
    here.mkdir(parents=True)
    for number in range(files):
        (here / f"day-{number:05}.json").write_text(f"{number:05}".ljust(1024, "x"))
    listed = folder / "listed.csv"
    timed(tools.with_name("ohproj-upload-metadata"), "-d", here, "--create-csv", listed)

    best = {}

    def note(name, took):
        best[name] = min(took, best.get(name, took))

    for turn in range(rounds):
        for name in ("python", "oh"):
            member = f"{7_000_000 + 2 * turn + (name == 'oh'):08}"
            sandbox.post("/sandbox/members", id=member, username=f"{name}{turn}")
            token = sandbox.tokens(member)["access_token"]
            there = folder / f"{name}{turn}"
            there.mkdir()
            if name == "python":
                up = [tools.with_name("ohproj-upload"), "-t", token]
                down = [tools.with_name("ohproj-download"), "-t", token]
            else:
                up, down = [oh, "upload", "-t", token], [oh, "download", "-t", token]
            note(f"{name}_up", timed(*up, "-d", here, "--metadata-csv", listed))
            note(f"{name}_down", timed(*down, "-d", there, "--project-data"))
            for path in here.iterdir():
                assert (there / path.name).read_bytes() == path.read_bytes(), path.name
            shutil.rmtree(there)
    ratios = {way: best[f"python_{way}"] / best[f"oh_{way}"] for way in ("up", "down")}
    print(json.dumps({"files": files, **best, "times_faster": ratios}))
    return 0 if min(ratios.values()) >= TIMES else f"less than {TIMES} times faster"


if __name__ == "__main__":
    sys.exit(main())
