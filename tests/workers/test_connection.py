"""A connection returns the answer; a dead worker, a late answer and a wrong message raise different errors."""

import os
import threading

import pytest

from multilstm.workers import protocol
from multilstm.workers.connection import Connection, ConnectionLostError, TimeLimitError


@pytest.fixture
def ends():
    """A connection, and the two streams of the worker at its other end."""
    (to_worker, sink), (source, from_worker) = os.pipe(), os.pipe()
    worker = os.fdopen(to_worker, "rb"), os.fdopen(from_worker, "wb")
    connection = Connection(os.fdopen(sink, "wb"), os.fdopen(source, "rb"))
    yield connection, *worker
    for stream in worker:
        stream.close()
    connection.close()


def test_a_message_is_answered(ends):
    connection, inbox, outbox = ends
    thread = threading.Thread(target=lambda: protocol.write(outbox, {"twice": protocol.read(inbox)["number"] * 2}))
    thread.start()
    assert connection.call({"number": 3}, 30.0) == {"twice": 6}
    thread.join()


def test_no_answer_in_time(ends):
    with pytest.raises(TimeLimitError):
        ends[0].call({}, 0.05)


def test_a_worker_that_closes_its_output(ends):
    ends[2].close()
    with pytest.raises(ConnectionLostError):
        ends[0].call({}, 30.0)


def test_a_worker_that_closes_its_input(ends):
    ends[1].close()
    with pytest.raises(ConnectionLostError):
        ends[0].call({}, 30.0)


def test_a_connection_that_is_closed(ends):
    connection, inbox, outbox = ends
    inbox.close()
    outbox.close()
    connection.close()
    with pytest.raises(ConnectionLostError):
        connection.call({}, 30.0)


def test_a_message_that_no_text_can_hold_is_the_callers_error(ends):
    with pytest.raises(TypeError, match="not JSON serializable"):
        ends[0].call({"object": object()}, 30.0)


def test_an_interruption_before_the_thread_starts_leaves_a_connection_that_closes(ends, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    connection = ends[0]
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.call({"x": 1}, 1.0)
    connection.close()
    assert connection._sink.closed
    assert connection._source.closed
