from pathlib import Path

import pytest

from jobs.roll_back_release import main
from roundtrip.contracts.errors import AnswerIsNo


def test_a_run_that_registered_nothing_has_nothing_to_roll_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--use-case", "flight_eta", "--run-dir", f"file://{tmp_path}"])
    assert ended.value.code == AnswerIsNo.exit_code
    assert "nothing to roll back" in capsys.readouterr().err
