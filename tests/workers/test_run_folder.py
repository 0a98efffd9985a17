"""The folder of a run goes with the run; a killed run's folder goes when the next run starts."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from multilstm.workers import RunFolder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no fcntl")

RUN = "from multilstm.workers import RunFolder; folder = RunFolder(); print(folder.path, flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other_run(temporary):
    """Another process with a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        folder = temporary / os.path.basename(process.stdout.readline().strip())
        assert folder.is_dir()
        yield process, folder
        process.kill()


def test_a_folder_is_removed_at_its_end():
    with RunFolder() as folder:
        (folder / "some").mkdir()
        (folder / "some" / "file").write_text("text")
    assert not folder.exists()


def test_the_folder_of_a_live_run_stays(other_run):
    process, folder = other_run
    with RunFolder() as own:
        assert folder.is_dir()
        assert own != folder
    process.communicate("\n", timeout=30)
    assert not folder.exists()  # it was removed by its own run


def test_the_folder_of_a_killed_run_is_removed_by_the_next_run(other_run):
    process, folder = other_run
    (folder / "file").write_text("text")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert folder.is_dir()
    with RunFolder():
        assert not folder.exists()


@pytest.mark.parametrize("name", ["multilstm-without-lock", "other-run"])
def test_other_folders_stay(temporary, name):
    folder = temporary / name
    folder.mkdir()
    if name == "other-run":
        (folder / "lock").touch()
    with RunFolder():
        assert folder.is_dir()


def test_a_link_is_not_followed(temporary):
    target = temporary / "target"
    target.mkdir()
    (target / "lock").touch()
    (temporary / "multilstm-link").symlink_to(target)
    with RunFolder():
        assert (target / "lock").exists()
