"""What README.md and docs/ tell people to type exists: each make target, each verb of `roundtrip`, each path."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])


def shell_lines(page: Path) -> list[str]:
    """The lines of the page's sh blocks, continued ones joined, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [bare for line in joined.splitlines() if (bare := re.sub(r"\s+# .*$", "", line).strip()) and not bare.startswith("#")]


def commands_starting(word: str) -> list[str]:
    return sorted({line for page in PAGES for line in shell_lines(page) if line.split()[0] == word})


@pytest.mark.parametrize("command", commands_starting("make"))
def test_every_make_target_that_the_docs_name_exists(command: str) -> None:
    finished = subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{command}: {finished.stderr}"


@pytest.mark.parametrize("command", commands_starting("roundtrip"))
def test_every_verb_that_the_docs_name_exists(command: str) -> None:
    words = [sys.executable, "-m", "roundtrip.cli", *command.split()[1:], "--help"]
    finished = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"{command}: {finished.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"


def test_the_docs_name_commands_to_check() -> None:
    assert len(commands_starting("make")) >= 2
    assert len(commands_starting("roundtrip")) >= 5
