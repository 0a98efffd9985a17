"""JSON from a stranger: text parsed within limits, and values checked by type.

Text enters; plain data or dataclasses leave. Every error is an `InputError` of one line. Imports errors only.
"""

from multilstm.json_data.parsing import parse_json
from multilstm.json_data.typed import typed

__all__ = ["parse_json", "typed"]
