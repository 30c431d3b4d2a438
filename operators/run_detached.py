"""The supervisor of one detached job: runs what command.json says and writes its exit code. Standard library only.

`python -I operators/run_detached.py ATTEMPT_FOLDER`, started by operators/detached_process.py in a session of its own. It
waits for the release on its standard input: when who started it dies before the pid is written, the job never runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

RELEASE = b"go"


def main(folder: Path) -> None:
    """Run the job and write `exit_code`: its exit code, or minus the number of the signal that ended it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # meant for the job, which shares the process group; a handler isn't inherited
    if os.read(sys.stdin.fileno(), len(RELEASE)) != RELEASE:
        return
    command = json.loads((folder / "command.json").read_text())
    exit_code = subprocess.run(command["argv"], cwd=command["folder"], stdin=subprocess.DEVNULL, check=False).returncode
    partial = folder / ".exit_code.partial"
    partial.write_text(str(exit_code))
    partial.replace(folder / "exit_code")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
