"""The types of command-line arguments that several commands share."""

from typing import Annotated

from cyclopts import Parameter

Names = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Path = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
