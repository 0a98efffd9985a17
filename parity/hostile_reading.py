"""Reads mutants in a process of their own, within the limits of the sandbox, and judges each reading."""

from __future__ import annotations

import functools
import importlib
import io
import json
import mmap
import os
import pathlib
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from hostile_files import Original
from hostile_mutants import MUTATIONS, changed_bytes

from multilstm.errors import MultilstmError
from multilstm.files import load, read_arrays
from multilstm.files.parsers.parsed import Parsed
from multilstm.files.sandbox import WAITING, received
from multilstm.files.sandbox_child import MEMORY, PARSERS, TOO_LARGE, UNFORESEEN, respond, seconds_for
from multilstm.spec import from_json
from multilstm.weights import check_weights

__all__ = ["Format", "parse_here", "read_all"]

BATCH = 500  # mutants of one process
ARRAYS = ("npy", "npz")  # read by `read_arrays`, the others by `load`
ALLOWED = ("/proc/", "/sys/fs/cgroup/")  # files that hold the limits of the machine
IN_PARSER = mmap.mmap(-1, 1)  # 1 inside a parser; both processes see it, even after one of them ended by a signal
EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class")


class Format:
    """The valid files of one format, and their mutants.

    Args:
        name: the format.
        files: the valid files.
        seed: the random seed.
        folder: an empty folder, into which one mutant at a time is written.
    """

    def __init__(self, name: str, files: Sequence[Original], seed: int, folder: pathlib.Path) -> None:
        self.name, self.seed, self._files, self._folder = name, seed, files, folder

    @functools.cached_property
    def originals(self) -> dict[str, Any]:
        """The content of each valid file."""
        return {file.name: self._read(file, file.content, file.shard) for file in self._files}

    def mutant(self, number: int) -> tuple[Original, bytes, bytes | None]:
        """Return the original of a mutant, and the changed bytes of its files."""
        rng = random.Random(f"{self.seed}/{self.name}/{number}")
        file, donor = rng.choice(self._files), rng.choice(self._files)
        change = rng.choice(MUTATIONS[self.name])
        if file.shard is not None and rng.random() < 0.2:
            return file, file.content, changed_bytes(file.shard, rng, donor.content)
        return file, change(file.content, rng, donor.content), file.shard

    def outcome(self, number: int) -> tuple[str, str]:
        """Read a mutant and return the outcome with a message."""
        file, content, shard = self.mutant(number)
        signal.setitimer(signal.ITIMER_PROF, seconds_for(len(content)))
        signal.alarm(WAITING * seconds_for(len(content)))
        try:
            loaded = self._read(file, content, shard)
            if self.name not in ARRAYS:
                _check_promises(loaded)
            return "equal" if _same(loaded, self.originals[file.name]) else "different", ""
        except MultilstmError as error:
            text = str(error)
            outcome = "too_large" if TOO_LARGE in text else "unforeseen" if f"{UNFORESEEN} (" in text else "refused"
            return outcome, text.partition(f"{UNFORESEEN} (")[2] or text
        except BrokenPromiseError as error:
            return "wrong", str(error)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return "crash", f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)

    def _read(self, file: Original, content: bytes, shard: bytes | None) -> Any:
        path = self._folder / "file"
        path.write_bytes(content)
        if shard is not None:
            (self._folder / "shard").write_bytes(shard)
        with Watch(self._folder):
            return read_arrays(path) if self.name in ARRAYS else load(path, architecture=file.architecture)


class BrokenPromiseError(Exception):
    """A wrong acceptance, or an act that no reading of a file may do."""


class Watch:
    """A context in which other files, processes and connections are refused, and remembered.

    Args:
        folder: the folder of the mutant, whose files may be opened.
    """

    active: Watch | None = None
    hooked = False

    def __init__(self, folder: pathlib.Path) -> None:
        self._allowed = (str(folder), *ALLOWED)
        self._acts: list[str] = []
        if not Watch.hooked:
            sys.addaudithook(_audit)
            Watch.hooked = True

    def __enter__(self) -> None:
        Watch.active = self

    def __exit__(self, *_: object) -> None:
        Watch.active = None
        if self._acts:
            raise BrokenPromiseError(", ".join(self._acts))

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Remember an act that is not allowed, and refuse it."""
        if event == "open":
            path = arguments[0]
            if isinstance(path, int) or str(path).startswith(self._allowed) or str(path).endswith((".py", ".pyc")):
                return
        elif event not in EVENTS:
            return
        self._acts.append(f"{event} {arguments[0]!r}")
        raise BrokenPromiseError(self._acts[-1])


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if Watch.active is not None:
        Watch.active.see(event, arguments)


def _check_promises(loaded: Any) -> None:
    """Check a model that was read: weights of its shapes and finite numbers, and a spec that its own JSON describes."""
    spec, weights = loaded.spec, loaded.weights
    loaded.provenance.lines()
    if weights is not None:
        if {name: array.shape for name, array in weights.items()} != dict(spec.weight_shapes):
            raise BrokenPromiseError("the weights do not have the names and shapes of the spec")
        check_weights(spec, weights)
    if from_json(spec.to_json()) != spec:
        raise BrokenPromiseError("the spec is not that of its own JSON")


def _same(loaded: Any, original: Any) -> bool:
    if isinstance(loaded, dict):
        return _same_arrays(loaded, original)
    return bool(loaded.spec == original.spec) and _same_arrays(loaded.weights or {}, original.weights or {})


def _same_arrays(arrays: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return list(arrays) == list(others) and all(
        array.dtype == others[name].dtype and np.array_equal(array, others[name]) for name, array in arrays.items()
    )


# Processes -------------------------------------------------------------------------------------------------------


def parse_here(parser: str, content: bytes) -> Parsed:
    """Parse as the process of the sandbox does: no file can be opened, and the answer crosses as bytes."""
    IN_PARSER[0] = 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    stream = io.BytesIO()
    parse = importlib.import_module(PARSERS[parser]).parse
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with warnings.catch_warnings(action="ignore"):  # the sandbox shows none
            respond(parse, content, stream)
    finally:
        IN_PARSER[0] = 0
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return received(stream.getvalue())


def read_all(source: Format, count: int) -> Iterator[dict[str, Any]]:
    """Yield the result of every mutant, from processes that read up to `BATCH` of them."""
    start = 0
    _ = source.originals  # all imports happen here, before the limits
    while start < count:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _work(source, range(start, min(start + BATCH, count)), writing)
        os.close(writing)
        with open(reading, encoding="utf-8") as lines:
            for line in lines:
                result = json.loads(line)
                yield result
                start = result["number"] + 1
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            hang = status in (-signal.SIGPROF, -signal.SIGALRM)
            outcome = "ended" if status < 0 and IN_PARSER[0] else "hang" if hang else "crash"
            IN_PARSER[0] = 0
            message = signal.Signals(-status).name if status < 0 else f"exit code {status}"
            yield {
                "number": start,
                "outcome": outcome,
                "message": message,
                "seconds": 0,
                "memory": 0,
            }
            start += 1


def _work(source: Format, numbers: range, pipe: int) -> NoReturn:
    """Read mutants under the limits of the sandbox, write one line of JSON for each, and end the process."""
    code = 1
    try:
        used = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limit = used + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        warnings.simplefilter("error")
        first = _peak()
        for number in numbers:
            start = time.process_time()
            outcome, message = source.outcome(number)
            result = {"number": number, "outcome": outcome, "message": message[:500]}
            line = json.dumps({**result, "seconds": time.process_time() - start, "memory": _peak() - first})
            os.write(pipe, line.encode() + b"\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _peak() -> int:
    """Return the largest memory of this process until now, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
