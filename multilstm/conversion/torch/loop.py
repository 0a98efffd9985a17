"""The source of an LSTM for converted modules whose LSTMs have a mask, or activations that `torch.nn.LSTM` lacks."""

__all__ = ["LOOP"]

LOOP = '''\
class LSTM(nn.Module):
    """As torch.nn.LSTM(batch_first=True), with a mask and any activations; a Python loop.

    A masked timestep keeps the states, and repeats the output before it.
    """

    def __init__(
        self,
        features: int,
        units: int,
        bias: bool = True,
        bidirectional: bool = False,
        activation: Callable[[torch.Tensor], torch.Tensor] = torch.tanh,
        recurrent_activation: Callable[[torch.Tensor], torch.Tensor] = torch.sigmoid,
    ) -> None:
        super().__init__()
        self.units, self.bias = units, bias
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.directions = ("l0", "l0_reverse") if bidirectional else ("l0",)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * units, features),
            "weight_hh": (4 * units, units),
        }
        if bias:
            shapes |= {"bias_ih": (4 * units,), "bias_hh": (4 * units,)}
        for direction in self.directions:
            for name, shape in shapes.items():
                value = torch.empty(shape).uniform_(-1, 1) / units**0.5
                self.register_parameter(f"{name}_{direction}", nn.Parameter(value))

    def forward(
        self,
        x: torch.Tensor,
        state: tuple[torch.Tensor, torch.Tensor] | None = None,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return the sequence [batch, timesteps, units], and the states (hidden, cell).

        mask is [batch, timesteps], True where a timestep counts.
        """
        zeros = x.new_zeros(len(self.directions), len(x), self.units)
        hidden, cell = (zeros, zeros) if state is None else state
        if mask is not None:
            x = torch.where(mask[..., None], x, 0.0)
        runs = [
            self.run(x, hidden[place], cell[place], mask, direction)
            for place, direction in enumerate(self.directions)
        ]
        sequences, hiddens, cells = zip(*runs)
        return torch.cat(sequences, -1), (torch.stack(hiddens), torch.stack(cells))

    def run(
        self,
        x: torch.Tensor,
        hidden: torch.Tensor,
        cell: torch.Tensor,
        mask: torch.Tensor | None,
        direction: str,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the sequence of one direction, and its last states."""
        projected = x @ getattr(self, f"weight_ih_{direction}").T
        if self.bias:
            for name in ("bias_ih", "bias_hh"):
                projected = projected + getattr(self, f"{name}_{direction}")
        recurrent = getattr(self, f"weight_hh_{direction}").T
        steps, output = range(x.shape[1]), torch.zeros_like(hidden)
        outputs = [output] * len(steps)
        for step in steps if direction == "l0" else reversed(steps):
            i, f, g, o = (projected[:, step] + hidden @ recurrent).chunk(4, -1)
            i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
            new_cell = f * cell + i * self.activation(g)
            new = o * self.activation(new_cell)
            if mask is None:
                hidden, cell, output = new, new_cell, new
            else:
                keep = mask[:, step, None]
                hidden = torch.where(keep, new, hidden)
                cell = torch.where(keep, new_cell, cell)
                output = torch.where(keep, new, output)
            outputs[step] = output
        return torch.stack(outputs, 1), hidden, cell
'''
