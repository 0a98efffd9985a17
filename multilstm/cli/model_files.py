"""The files that belong to a user's model on the command line, read and written."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from multilstm.cli.result_files import check_one_stream
from multilstm.errors import UsageError

if TYPE_CHECKING:
    from multilstm.cases.case import Case
    from multilstm.execution.options import Options
    from multilstm.execution.quantities import Quantities
    from multilstm.files import LoadedModel
    from multilstm.report.arguments import Arguments


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """The model, and the paths of the options with these names; None: not given."""

    model: str | None = None
    weights: str | None = None
    architecture: str | None = None
    inputs: str | None = None
    against: str | None = None
    save_inputs: str | None = None
    save_outputs: str | None = None
    json: str | None = None
    html: str | None = None
    junit: str | None = None
    markdown: str | None = None
    resume: str | None = None

    def check(self, sized: bool) -> None:
        """Refuse files without a model, sizes together with given inputs, and files that cannot be written.

        Args:
            sized: whether the sizes of random inputs are given.

        Raises:
            UsageError: for options that exclude each other, and for a file that is written although another option
                reads or writes it.
            InputError: for a file that cannot be written.
        """
        from multilstm.files import check_outputs

        paths = {name: path for name, path in vars(self).items() if path is not None}
        of_model = [_option(name) for name in paths if name not in ("model", "resume", *_REPORTS)]
        if of_model and self.model is None:
            raise UsageError(f"{', '.join(of_model)}: for a MODEL, but none is given; cases have data of their own")
        if self.inputs is not None and sized:
            raise UsageError("--batch and --timesteps are for random inputs, but --inputs is given; leave them out")
        if self.resume is not None and self.json is not None:
            raise UsageError("--resume goes on with a file of --json; give one of the two")
        if self.resume == "-":
            raise UsageError("--resume is standard output, which no run can go on with; give the path of a file")
        streams = [name for name in _REPORTS if paths.get(name) == "-"]
        check_one_stream(map(_option, streams))
        written = {name: path for name, path in paths.items() if name in _WRITTEN and name not in streams}
        read = {name: path for name, path in paths.items() if name not in ("model", *_WRITTEN)}
        check_outputs({_option(name): path for name, path in written.items()}, read_files(self.model, **read))

    def arguments(self, batch: int | None, timesteps: int | None, seed: int | None, full: bool) -> Arguments:
        """Return the choice of models for the report."""
        from multilstm.report.arguments import Arguments

        paths = {name: path for name, path in vars(self).items() if name not in _WRITTEN}
        return Arguments(batch=batch, timesteps=timesteps, seed=seed, full=full, **paths)

    def case(self, loaded: LoadedModel) -> Case:
        """Return the case of a model with the inputs of `--inputs`."""
        from multilstm.cases.given_inputs import described, given_batches
        from multilstm.cases.model_case import example_case
        from multilstm.files import read_arrays

        assert self.inputs is not None
        batches = given_batches(loaded.spec, read_arrays(self.inputs))
        return example_case(loaded.spec, batches, described(batches, self.inputs), loaded.weights)

    def recorded(self, case: Case) -> Quantities | None:
        """Return the answers of `--against`, or None."""
        from multilstm.files import read_arrays
        from multilstm.suite.recorded import quantities_from

        return None if self.against is None else quantities_from(case, read_arrays(self.against))

    def save(self, case: Case, options: Options) -> None:
        """Write the files of `--save-inputs` and `--save-outputs`."""
        from multilstm.cases.given_inputs import arrays_of
        from multilstm.files import write_arrays
        from multilstm.suite.recorded import reference_answers

        if self.save_inputs is not None:
            write_arrays(self.save_inputs, dict(arrays_of(list(case.forward.batches()))))
        if self.save_outputs is not None:
            write_arrays(self.save_outputs, dict(reference_answers(case, options)))


def read_files(model: str | None, **options: str | None) -> list[tuple[str, str]]:
    """Return the name in messages and the path of each file that a command reads.

    Args:
        model: the path of a file, or `module:function`, whose module in the working folder is read.
        options: the paths of options by name; None: not given.
    """
    paths = [(_option(name), path) for name, path in options.items() if path is not None]
    if model is None:
        return paths
    module = model.partition(":")[0].replace(".", os.sep)
    modules = (model, f"{module}.py", os.path.join(module, "__init__.py"))
    return [*paths, *(("the model", path) for path in modules)]


_REPORTS = ("json", "html", "junit", "markdown")
_WRITTEN = ("save_inputs", "save_outputs", "resume", *_REPORTS)


def _option(name: str) -> str:
    """Return an option as it is written on the command line."""
    return f"--{name.replace('_', '-')}"
