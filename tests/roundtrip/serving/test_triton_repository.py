import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.contracts.settings import REPOSITORY
from roundtrip.serving.triton_repository import sole_writer

WRITER = """
import sys
from pathlib import Path
from roundtrip.serving.triton_repository import sole_writer
print("waits", flush=True)
with sole_writer(Path(sys.argv[1])):
    print("writes", flush=True)
"""


def test_two_processes_never_write_the_repository_at_once(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    with sole_writer(repository):
        other = subprocess.Popen([sys.executable, "-c", WRITER, str(repository)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "waits\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1)
    assert other.communicate(timeout=30)[0] == "writes\n"
    assert other.returncode == 0
