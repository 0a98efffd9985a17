"""Every private or undocumented part of PyTorch that the package uses.

Each function isolates one part, and names the version in which the part was seen and the reason for its use.

tests/frameworks/test_private_apis.py checks every entry, and explains which feature breaks without it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def record_torch_operators() -> Iterator[set[str]]:
    """Record the operators that PyTorch dispatches below autograd inside the `with` block.

    `torch.utils._python_dispatch.TorchDispatchMode` in PyTorch 2.5 to 2.13. The profiler records operators that raised,
    too; Keras's loop runs after cuDNN's operator raised.

    Yields:
        The set of operators that did not raise, as `aten::mm`, filled during the block.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    operators: set[str] = set()

    class Recorder(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            result = function(*arguments, **(options or {}))
            operators.add(function.name().split(".")[0])
            return result

    with Recorder():
        yield operators


def is_transformed_by_torch(tensors: Iterable[Any]) -> bool:
    """Return whether a transform of `torch.func`, such as `vmap`, or forward-mode differentiation acts on a tensor.

    `torch._C._functorch.is_functorch_wrapped_tensor` in PyTorch 2.5 to 2.13. There is no public function for it.
    """
    from torch._C._functorch import is_functorch_wrapped_tensor
    from torch.autograd import forward_ad

    return any(is_functorch_wrapped_tensor(x) or forward_ad.unpack_dual(x).tangent is not None for x in tensors)
