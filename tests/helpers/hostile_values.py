"""Hostile values for generated tests: JSON values of any shape, and the check of a refusal."""

from hypothesis import strategies as st

from multilstm.errors import VALUE_LIMIT, MultilstmError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


def outcome(call, *arguments):
    """Return the answer of a call and None, or None and the message of its refusal. Any other exception passes."""
    try:
        return call(*arguments), None
    except MultilstmError as error:
        return None, str(error)


def assert_short_line(message):
    """Fail unless a message is one line of moderate length without control characters."""
    assert message.isprintable()
    assert len(message) < 5 * VALUE_LIMIT


def assert_answer_or_line(call, *arguments):
    """Fail unless a call answers, or refuses in one line; return the answer, or None."""
    answer, message = outcome(call, *arguments)
    if message is not None:
        assert_short_line(message)
    return answer
