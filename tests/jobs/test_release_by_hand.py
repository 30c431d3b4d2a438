"""A version chosen by hand, and the way back: through the same jobs as after a training, with the same refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import choose_version, compile_model, find_live_version, promote_release, roll_back_release, stage_release
from roundtrip.contracts import storage
from roundtrip.contracts.receipts import Receipt, RunFolder
from roundtrip.contracts.settings import settings
from roundtrip.registry.mlflow_registry import GATE_TAG
from roundtrip.registry.mlflow_run import client
from roundtrip.registry.version_folder import published_digest
from roundtrip.serving.release import history, read_release
from roundtrip.serving.triton_client import TritonClient
from roundtrip.serving.triton_repository import remove_version
from tests.jobs.test_release_jobs import FLIGHTS, RELEASE, Job, _champion, registered, run, served, serving, tables  # noqa: F401
from tests.roundtrip.serving.conftest import home, release_schema  # noqa: F401

WHY = "the newer one is late on Mondays"


@pytest.fixture
def by_hand(tmp_path: Path) -> Callable[[str], RunFolder]:
    """Gives the run folder of a run of that name."""
    return lambda name: RunFolder(f"file://{tmp_path}/runs/{name}")


def compiled(folder: RunFolder) -> RunFolder:
    run(compile_model.main, folder)
    return folder


def released(folder: RunFolder) -> RunFolder:
    for job in RELEASE:
        run(job, folder)
    return folder


def chosen(folder: RunFolder, version: str) -> RunFolder:
    run(choose_version.main, folder, "--version", version, "--why", WHY, "--by", "Ada")
    return folder


def refused(job: Job, folder: RunFolder, *arguments: str) -> Receipt:
    """The receipt of a job that refuses for good."""
    with pytest.raises(SystemExit) as ended:
        run(job, folder, *arguments)
    assert ended.value.code == 20
    return Receipt.from_json(storage.read_bytes(folder.receipt_uri(job.__module__.removeprefix("jobs."))))


def refused_choice(folder: RunFolder, version: str) -> str:
    return refused(choose_version.main, folder, "--version", version, "--why", WHY).reason


@pytest.mark.stack
def test_a_version_chosen_by_hand_goes_live_and_the_one_before_comes_back(
    registered: Callable[[int], RunFolder],  # noqa: F811
    by_hand: Callable[[str], RunFolder],
    serving: None,  # noqa: F811
) -> None:
    released(compiled(registered(1)))
    compiled(registered(2))
    folder = released(chosen(by_hand("release"), "2"))
    assert (served(), _champion()) == ("2", "2")
    assert folder.receipt("promote_release").figures["previous_version"] == "1"
    assert folder.receipt("probe_release").figures["probe_rows"] == 20
    assert [entry.why for entry in history(FLIGHTS.name)][-2:] == [f"{WHY} (Ada, run {folder.uri})"] * 2

    back = by_hand("roll_back")
    run(find_live_version.main, back, "--why", "too late after all", "--by", "Grace")
    for _ in range(2):
        run(roll_back_release.main, back)
        assert (served(), _champion()) == ("1", "1")
    last = history(FLIGHTS.name)[-1]
    assert (last.stage, last.version, last.why) == ("rolled back", "2", f"too late after all (Grace, run {back.uri})")
    assert last.digest == published_digest(FLIGHTS.name, "2")

    assert "no version before it is kept" in refused(find_live_version.main, by_hand("twice"), "--why", "again").reason
    assert served() == "1"


@pytest.mark.stack
def test_a_failing_run_does_not_take_out_a_version_that_was_live_before_it(
    registered: Callable[[int], RunFolder],  # noqa: F811
    by_hand: Callable[[str], RunFolder],
    serving: None,  # noqa: F811
) -> None:
    released(compiled(registered(1)))
    released(compiled(registered(2)))
    again = chosen(by_hand("again"), "2")
    run(stage_release.main, again)
    before = read_release(FLIGHTS.name)
    with pytest.raises(SystemExit) as ended:
        run(roll_back_release.main, again)
    assert ended.value.code == 10
    assert read_release(FLIGHTS.name) == before
    released(again)
    assert (served(), read_release(FLIGHTS.name)) == ("2", before)


@pytest.mark.stack
def test_of_two_releases_at_once_the_later_one_wins_and_the_other_fails_without_harm(
    registered: Callable[[int], RunFolder],  # noqa: F811
    by_hand: Callable[[str], RunFolder],
    serving: None,  # noqa: F811
) -> None:
    released(compiled(registered(1)))
    for seed in (2, 3):
        compiled(registered(seed))
    first, second = chosen(by_hand("first"), "2"), chosen(by_hand("second"), "3")
    for job in RELEASE[:-1]:
        run(job, first)
    for job in RELEASE[:-1]:
        run(job, second)
    with pytest.raises(SystemExit) as ended:
        run(promote_release.main, first)
    assert ended.value.code == 1
    assert "somebody else released meanwhile" in Receipt.from_json(storage.read_bytes(first.receipt_uri("promote_release"))).reason
    run(promote_release.main, second)
    run(roll_back_release.main, first)
    assert (served(), _champion()) == ("3", "3")


@pytest.mark.stack
def test_a_roll_back_brings_the_version_before_to_a_triton_that_has_lost_it(
    registered: Callable[[int], RunFolder],  # noqa: F811
    by_hand: Callable[[str], RunFolder],
    serving: None,  # noqa: F811
) -> None:
    released(compiled(registered(1)))
    released(compiled(registered(2)))
    before = read_release(FLIGHTS.name).previous
    assert before is not None
    with TritonClient(settings().triton_url, settings().triton_admin_key) as triton:
        assert remove_version(Path(settings().triton_repository), before.triton_model, "1")
        triton.load(before.triton_model)
        triton.wait_until_gone(before.triton_model, "1")
        back = by_hand("roll_back")
        run(find_live_version.main, back, "--why", WHY)
        run(roll_back_release.main, back)
        assert triton.ready_versions(before.triton_model) == {"1"}
    assert served() == "1"


@pytest.mark.stack
@pytest.mark.usefixtures("release_schema")
def test_a_version_that_may_not_serve_is_not_chosen_and_the_reason_says_what_to_do(
    registered: Callable[[int], RunFolder],  # noqa: F811
    by_hand: Callable[[str], RunFolder],
) -> None:
    folder = compiled(registered(1))
    registered(2)
    assert "no version '7' of flight_eta is registered (registered: 1, 2)" in refused_choice(by_hand("unknown"), "7")
    assert "version 2 of flight_eta is not published" in refused_choice(by_hand("unpublished"), "2")
    client().delete_model_version_tag(FLIGHTS.name, "2", GATE_TAG)
    unjudged = refused_choice(by_hand("unjudged"), "2")
    assert unjudged.startswith("VersionNotJudged: ") and "No model serves unjudged: run train_and_release" in unjudged
    graph = Path(f"{settings().storage_root}/models/{FLIGHTS.name}/1/model.onnx".removeprefix("file://"))
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    flipped = refused_choice(by_hand("flipped"), "1")
    assert flipped.startswith("DigestMismatch: ") and f"{FLIGHTS.name}/1/model.onnx: SHA-256 is " in flipped
    assert read_release(FLIGHTS.name).generation == 0
    with pytest.raises(SystemExit) as ended:
        run(stage_release.main, by_hand("flipped"))
    assert ended.value.code == 20
    assert folder.receipt("compile_model").figures["version"] == "1"


@pytest.mark.stack
@pytest.mark.usefixtures("release_schema")
def test_without_a_live_version_there_is_nothing_to_go_back_from(by_hand: Callable[[str], RunFolder]) -> None:
    reason = refused(find_live_version.main, by_hand("nothing"), "--why", WHY).reason
    assert reason.startswith("NothingToRollBackTo: no version of flight_eta is live (generation 0)")


@pytest.mark.usefixtures("home")
def test_a_run_that_chose_nothing_stages_nothing_and_says_which_job_is_missing(by_hand: Callable[[str], RunFolder]) -> None:
    assert "jobs.choose_version --version N" in refused(stage_release.main, by_hand("empty")).reason
