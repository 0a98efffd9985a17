"""The types of command-line arguments that several commands share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from multilstm.errors import UsageError, choice


def whole_number(_: type, tokens: Sequence[Any]) -> int:
    """Return the integer of an argument; cyclopts itself would round `1.5`."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, given {text!r}") from None


def listed_numbers(_: type, tokens: Sequence[Any]) -> tuple[int, ...]:
    """Return the integers of an option whose values are separated by commas or blanks."""
    texts = [text for token in tokens for text in token.value.split(",")]
    try:
        return tuple(map(int, texts))
    except ValueError:
        raise ValueError(f"expected whole numbers, such as 1,8,64, given {','.join(texts)!r}") from None


def dtype_names(_: type, tokens: Sequence[Any]) -> Any:
    """Return the dtypes of an option; cyclopts itself would suggest `tf32` in place of `fp32`."""
    from multilstm.jobs.dtypes import DTYPES

    dtypes = tuple(token.value for token in tokens)
    for name in dtypes:
        if name not in DTYPES:
            raise ValueError(choice("dtype", name, DTYPES))
    return dtypes


def one_dtype(kind: type, tokens: Sequence[Any]) -> Any:
    """Return the dtype of an option."""
    return dtype_names(kind, tokens)[0]


def file_path(_: type, tokens: Sequence[Any]) -> str:
    """Return the path of an argument; another option in its place would silently become a file's name."""
    text: str = tokens[0].value
    if text.startswith("-") and text != "-":
        raise ValueError(f"expected a path, given the option {text!r}; write ./{text} for a file of that name")
    return text


_SEVERAL = Parameter(consume_multiple=True, negative=(), show_default=False)
OptionalNames = Annotated[tuple[str, ...] | None, _SEVERAL]
_DTYPE = Literal["float32", "float64", "mixed_bfloat16", "mixed_float16", "tf32"]
OptionalDtypes = Annotated[
    tuple[_DTYPE, ...] | None,
    Parameter(consume_multiple=True, negative=(), show_default=False, converter=dtype_names),
]
Dtype = Annotated[_DTYPE, Parameter(converter=one_dtype)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
_PATH = Parameter(allow_leading_hyphen=True, converter=file_path)
FilePath = Annotated[str, _PATH]
Path = Annotated[str | None, _PATH]
Device = Literal["cpu", "gpu"]
Layers = Literal["portable", "plain"]
WholeNumber = Annotated[int, Parameter(converter=whole_number)]
OptionalWholeNumber = Annotated[int | None, Parameter(converter=whole_number)]
OptionalSizes = Annotated[
    tuple[int, ...] | None,
    Parameter(consume_multiple=True, negative=(), show_default=False, converter=listed_numbers),
]
Value = TypeVar("Value", bound=Hashable)


def names(option: str, values: Sequence[Value] | None) -> tuple[Value, ...]:
    """Return the values of an option, each once; empty if the option is left out.

    Raises:
        UsageError: if the option has no value.
    """
    if values is not None and not values:
        raise UsageError(f"{option} is given without a value; give at least one, or leave the option out for all")
    return tuple(dict.fromkeys(values or ()))
