"""The folder of a run goes with the run; a killed run's folder goes when the next run starts."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def imitation(folder, marker=None, mode=0o700, lock_mode=0o600):
    """Make a folder as a killed run leaves one, apart from the given differences."""
    folder.mkdir()
    (folder / "lock").write_text(f"multilstm run {folder.name}\n" if marker is None else marker)
    (folder / "lock").chmod(lock_mode)
    folder.chmod(mode)
    return folder


def sweep():
    with RunFolder():
        pass


def test_an_exact_imitation_is_removed(temporary):
    """Shows that the differences of the tests below are what keeps their folders."""
    folder = imitation(temporary / "multilstm-abc")
    sweep()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("other-run", {}),
        ("multilstm-a", {"marker": ""}),
        ("multilstm-a", {"marker": "multilstm run multilstm-b\n"}),  # a copy under another name
        ("multilstm-a", {"marker": "multilstm run multilstm-a\nand more"}),
        ("multilstm-a", {"marker": "12345"}),  # the number of a process, as many programs write
        ("multilstm-a", {"mode": 0o755}),
        ("multilstm-a", {"mode": 0o777}),
        ("multilstm-a", {"mode": 0o1700}),
        ("multilstm-a", {"lock_mode": 0o644}),
    ],
    ids=["name", "empty_lock", "copy", "longer", "pid", "readable", "writable", "sticky", "readable_lock"],
)
def test_a_folder_of_another_program_stays(temporary, name, changes):
    folder = imitation(temporary / name, **changes)
    sweep()
    assert (folder / "lock").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(marker=st.text(max_size=40))
def test_a_folder_with_any_other_text_in_its_lock_stays(temporary, marker):
    folder = temporary / "multilstm-drawn"
    if not folder.exists():
        imitation(folder)
    (folder / "lock").write_bytes(marker.encode(errors="surrogatepass"))
    sweep()
    assert (folder / "lock").exists()


@pytest.mark.parametrize("kind", ["nothing", "folder", "fifo", "link"])
def test_a_lock_of_another_kind_is_none(temporary, kind):
    folder = imitation(temporary / "multilstm-a")
    lock = folder / "lock"
    lock.rename(temporary / "true-lock")
    if kind == "folder":
        lock.mkdir(mode=0o600)
    elif kind == "fifo":
        os.mkfifo(lock, 0o600)
    elif kind == "link":
        lock.symlink_to(temporary / "true-lock")
    sweep()
    assert folder.is_dir()


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root makes folders of other users")
@pytest.mark.parametrize("owned", ["multilstm-a", "multilstm-a/lock"], ids=["folder", "lock"])
def test_a_folder_of_another_user_stays(temporary, owned):
    folder = imitation(temporary / "multilstm-a")
    os.chown(temporary / owned, 12345, 12345)
    sweep()
    assert (folder / "lock").exists()


@pytest.mark.parametrize("link", ["multilstm-link", "multilstm-a"], ids=["other_name", "same_name"])
def test_a_link_is_not_followed(temporary, link):
    (temporary / "elsewhere").mkdir()
    target = imitation(temporary / "elsewhere" / "multilstm-a")
    (temporary / link).symlink_to(target)
    sweep()
    assert (target / "lock").exists()
    assert (temporary / link).is_symlink()


def test_a_link_inside_of_a_dead_folder_is_not_followed(temporary):
    (temporary / "kept").mkdir()
    (temporary / "kept" / "file").touch()
    folder = imitation(temporary / "multilstm-a")
    (folder / "link").symlink_to(temporary / "kept")
    sweep()
    assert not folder.exists()
    assert (temporary / "kept" / "file").exists()
