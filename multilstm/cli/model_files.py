"""The files of arrays that belong to a user's model on the command line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from multilstm.errors import UsageError

if TYPE_CHECKING:
    from multilstm.cases.case import Case
    from multilstm.execution.options import Options
    from multilstm.execution.quantities import Quantities
    from multilstm.files import LoadedModel


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """The paths of the options with these names; None: not given."""

    weights: str | None
    architecture: str | None
    inputs: str | None
    against: str | None
    save_inputs: str | None
    save_outputs: str | None

    def check(self, model: str | None, sized: bool) -> None:
        """Refuse files without a model, sizes together with given inputs, and files that cannot be written.

        Args:
            model: the model of the command; None: the catalogue.
            sized: whether the sizes of random inputs are given.

        Raises:
            UsageError: for options that exclude each other.
            InputError: for a file that cannot be written.
        """
        from multilstm.files import check_replaceable

        paths = {f"--{name.replace('_', '-')}": path for name, path in vars(self).items() if path is not None}
        if paths and model is None:
            raise UsageError(f"{', '.join(paths)}: for a MODEL, but none is given; cases have data of their own")
        if self.inputs is not None and sized:
            raise UsageError("--batch and --timesteps are for random inputs, but --inputs is given; leave them out")
        for option, path in paths.items():
            if option.startswith("--save"):
                check_replaceable(path)

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
        from multilstm.files import write_tensors
        from multilstm.suite.recorded import reference_answers

        if self.save_inputs is not None:
            write_tensors(self.save_inputs, dict(arrays_of(list(case.forward.batches()))))
        if self.save_outputs is not None:
            write_tensors(self.save_outputs, dict(reference_answers(case, options)))
