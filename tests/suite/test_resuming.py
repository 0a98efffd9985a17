"""A run that was killed goes on with its file: what is recorded is not judged again, and another run is refused."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from faulty_pool import FaultyPool

from multilstm.cases.catalogue import select
from multilstm.errors import InputError, WorkerError
from multilstm.execution.options import Options
from multilstm.report.reading import read_recorded, read_report
from multilstm.report.run_file import RunFile
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.recorded import quantities_from, reference_answers

ROOT = pathlib.Path(__file__).parents[2]
CASES = select(("seed4-*", "seed3-units"))
OPTIONS = Options(("jax-scan", "torch-lstm"), ("float64",), quantities=("hidden", "gradient"))


class CountingPool(FaultyPool):
    """A pool in this process that counts the jobs of engines, and may end the run before a job."""

    def __init__(self, last=None):
        super().__init__()
        self.jobs, self.last = [], last

    def execute(self, engine, job):
        if engine != "reference":
            if len(self.jobs) == self.last:
                raise KeyboardInterrupt
            self.jobs.append(engine)
        return super().execute(engine, job)


class InterruptedPool(FaultyPool):
    """A pool of which one engine is interrupted while a job of the other is under way; closing it ends that job."""

    def __init__(self):
        super().__init__()
        self.begun, self.judged, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.of_judge = 0

    def execute(self, engine, job):
        if engine == "torch-lstm":
            self.begun.set()
            assert self.closed.wait(60)
            raise WorkerError("its worker was closed during this job", kind="closed")
        if engine == "jax-scan":
            assert self.begun.wait(60)
            assert self.judged.wait(60)
            raise KeyboardInterrupt
        self.of_judge += 1
        if self.of_judge == 2:  # the desired answer of the job under way is there
            self.judged.set()
        return super().execute(engine, job)

    def close(self):
        self.closed.set()


def compare(path, pool, options=OPTIONS, cases=CASES, resume=False):
    file = RunFile(str(path), read_recorded(str(path)) if resume else None)
    report = compare_cases(cases, options, pool=pool, file=file)
    file.end(report)
    return report


def comparisons(report):
    return [(cell.job, cell.digest, cell.comparison) for cell in report.cells]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "r.json"
    return path, compare(path, CountingPool())


@pytest.mark.unit
def test_the_file_of_a_whole_run_is_its_report(whole):
    path, report = whole
    assert read_report(str(path)) == dataclasses.replace(report, environment=read_report(str(path)).environment)
    assert report.jobs == len({cell.job for cell in report.cells}) == 12
    assert all(len(cell.digest) == 64 for cell in report.cells)


@pytest.mark.unit
def test_no_job_is_judged_twice_and_none_is_lost(whole, tmp_path):
    path, first = tmp_path / "r.json", CountingPool(last=5)
    with pytest.raises(KeyboardInterrupt):
        compare(path, first)
    recorded = read_recorded(str(path))
    assert 0 < len(recorded.digests) <= 5
    with open(path, "a") as file:
        file.write('{"job": {"case": "se')  # killed in the middle of a line
    second = CountingPool()
    report = compare(path, second, resume=True)
    assert len(second.jobs) == 12 - len(recorded.digests)
    assert comparisons(report) == comparisons(whole[1])
    assert comparisons(read_report(str(path))) == comparisons(whole[1])
    assert read_report(str(path)).remarks == ()


@pytest.mark.unit
def test_a_job_that_the_interruption_ended_is_not_recorded_as_an_error(tmp_path):
    pool = InterruptedPool()
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path / "r.json", pool)
    assert pool.closed.is_set()
    assert not (tmp_path / "r.json").exists()


@pytest.mark.unit
def test_a_whole_run_goes_on_with_nothing(whole, tmp_path):
    path, pool = tmp_path / "r.json", CountingPool()
    path.write_bytes(whole[0].read_bytes())
    assert comparisons(compare(path, pool, resume=True)) == comparisons(whole[1])
    assert pool.jobs == []


@pytest.mark.unit
def test_a_last_line_without_its_line_feed_is_kept(whole, tmp_path):
    """Some editors and copies leave it out. The next job would be appended to that line."""
    path, lines = tmp_path / "r.json", whole[0].read_bytes().splitlines()
    path.write_bytes(b"\n".join(lines[:4]))
    second = CountingPool()
    report = compare(path, second, resume=True)
    assert len(second.jobs) == 12 - 3
    assert comparisons(read_report(str(path))) == comparisons(report) == comparisons(whole[1])


@pytest.mark.unit
def test_a_file_with_a_byte_order_mark_is_refused_and_stays(whole, tmp_path):
    """Its lines end three bytes later than in the text that is read."""
    path, lines = tmp_path / "r.json", whole[0].read_bytes().splitlines()
    content = b"\xef\xbb\xbf" + b"".join(line + b"\n" for line in lines[:4])
    path.write_bytes(content)
    with pytest.raises(InputError, match="another program has changed its bytes; write a new file with --json"):
        compare(path, CountingPool(), resume=True)
    assert path.read_bytes() == content


@pytest.mark.unit
def test_another_number_of_jobs_is_refused(whole, tmp_path):
    """The end of the run would contradict the first line, and no program could read the file."""
    path, text = tmp_path / "r.json", whole[0].read_text()
    path.write_text(text.replace('"jobs": 12', '"jobs": 99').rpartition('{"end"')[0])
    with pytest.raises(InputError, match="its first line counts 99 jobs, and this run has 12"):
        compare(path, CountingPool(), resume=True)


@pytest.mark.unit
@pytest.mark.parametrize("complete", [True, False], ids=["complete", "killed"])
def test_a_file_without_some_of_the_cells_of_a_job_is_refused_and_stays(whole, tmp_path, complete):
    path, lines = tmp_path / "r.json", whole[0].read_text().splitlines()
    record = json.loads(lines[3])
    del record["job"]["cells"][0]
    lines[3] = json.dumps(record)
    content = "\n".join(lines if complete else lines[:6]) + "\n"
    path.write_text(content)
    for read in (read_report, lambda path: compare(path, CountingPool(), resume=True)):
        with pytest.raises(InputError, match=r"line 4: its job has .* but the file holds"):
            read(str(path))
    assert path.read_text() == content


def heavier(case):
    weights = {name: array * 1.5 for name, array in case.initial_weights.items()}
    return dataclasses.replace(case, weights=weights)


def with_version(text):
    return text.replace('"numpy": "', '"numpy": "0.', 1)


REFUSED = {
    "engine": ({"options": dataclasses.replace(OPTIONS, engines=("jax-scan",))}, None, "options: engines was"),
    "tolerance": ({"options": dataclasses.replace(OPTIONS, atol=1e-3)}, None, "options: atol was '', is '0.001'"),
    "cases": ({"cases": CASES[:1]}, None, "cases was"),
    "weights": (
        {"cases": (CASES[0], heavier(CASES[1]), CASES[2])},
        None,
        "its inputs, weights, model or recorded answers were others",
    ),
    "parts": (
        {"cases": (CASES[0], dataclasses.replace(CASES[1], loss=None), CASES[2])},
        None,
        "this run does not have it",
    ),
    "version": ({}, with_version, "versions: numpy was '0."),
}


@pytest.mark.unit
@pytest.mark.parametrize(("run", "change", "fault"), REFUSED.values(), ids=REFUSED)
def test_another_run_is_refused_and_its_file_stays(whole, tmp_path, run, change, fault):
    path, pool = tmp_path / "r.json", CountingPool()
    text = whole[0].read_text()
    path.write_text(change(text) if change else text)
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot go on with") as error:
        compare(path, pool, resume=True, **run)
    assert fault in str(error.value)
    assert pool.jobs == []
    assert path.read_bytes() == before


@pytest.mark.unit
def test_time_limit_and_memory_may_change(whole, tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(whole[0].read_bytes())
    compare(path, CountingPool(), dataclasses.replace(OPTIONS, timeout_s=5.0), resume=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_command_goes_on(tmp_path):
    job = ["parity", "--case", "seed4-*", "seed1-stateful", "--engine", "reference", "--quantity", "hidden", "loss"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}

    def start(*options):
        command = [sys.executable, "-m", "multilstm", *job, *options]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, **streams)

    path = tmp_path / "r.json"
    with start("--json", "r.json") as process:
        while process.poll() is None and not (path.exists() and b'{"job"' in path.read_bytes()):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    killed = read_recorded(str(path))
    assert 0 < len(killed.digests) < killed.report.jobs == 9
    assert "The run did not end" in str(killed.report)
    with start("--resume", "r.json") as process:
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert f"[{len(killed.digests) + 1}/9]" in stderr
    assert f"[{len(killed.digests)}/9]" not in stderr
    assert len(read_recorded(str(path)).digests) == 9


def test_a_file_of_a_run_under_way_is_refused_and_stays(tmp_path):
    path = tmp_path / "run.jsonl"
    file = RunFile(str(path))
    pool = CountingPool(last=2)
    with pytest.raises(KeyboardInterrupt):
        compare_cases(CASES, OPTIONS, pool=pool, file=file)
    earlier = read_recorded(str(path))
    file.add(*judged_job(earlier))  # opens and locks the file again
    written = path.read_bytes()
    for other in (RunFile(str(path)), RunFile(str(path), earlier)):
        with pytest.raises(InputError, match="another run appends to it"):
            other.begin(earlier.report)
    late = RunFile(str(path))
    late._header = earlier.report  # it began before the file was there
    late.add(*judged_job(earlier))
    with pytest.raises(InputError, match="another run appends to it"):
        late.end(earlier.report)
    assert path.read_bytes() == written
    file.close()
    RunFile(str(path), earlier).begin(earlier.report)


def judged_job(recorded):
    cell = recorded.report.cells[0]
    return cell.job, cell.digest, [cell], 1.0


def test_other_recorded_answers_are_judged_again(tmp_path):
    case, path = select(("seed4-one-feature",))[0], tmp_path / "run.jsonl"
    options = Options(("reference",), ("float64",), quantities=("hidden",))
    right = dict(reference_answers(case, options))
    arrays = {name: array for name, array in right.items() if name.startswith("hidden")}

    def judged(answers, earlier):
        file = RunFile(str(path), earlier)
        recorded = quantities_from(case, answers)
        report = compare_cases((case,), options, pool=FaultyPool(), recorded=recorded, file=file)
        file.end(report)
        return report

    assert judged(arrays, None).agrees
    assert judged(arrays, read_recorded(str(path))).agrees
    wrong = {name: array + 0.5 for name, array in arrays.items()}
    with pytest.raises(InputError, match="its inputs, weights, model or recorded answers were others"):
        judged(wrong, read_recorded(str(path)))
