from keras import Sequential
from keras.layers import GRU, LSTM, Bidirectional, Dense, Embedding, SimpleRNN, TimeDistributed

model = Sequential(
    [
        Embedding(100, 16, input_shape=(12,)),
        Bidirectional(LSTM(8, return_sequences=True)),
        GRU(8, return_sequences=True, reset_after=False),
        TimeDistributed(Dense(6, activation="relu")),
        SimpleRNN(4),
        Dense(2, activation="softmax"),
    ]
)
# output
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LoopGRU(nn.Module):
    """A GRU step by step, for activations or a reset that nn.GRU does not have."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        activation=torch.tanh,
        gate=torch.sigmoid,
        reset_after: bool = True,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.activation = activation
        self.gate = gate
        self.reset_after = reset_after
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.zeros(3 * hidden_size)) if bias else None
        self.bias_hh = nn.Parameter(torch.zeros(3 * hidden_size)) if bias else None

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = x.new_zeros(len(x), self.hidden_size) if state is None else state[0]
        outputs = []
        for step in F.linear(x, self.weight_ih, self.bias_ih).unbind(1):
            r, z, n = step.chunk(3, dim=1)
            hr, hz, hn = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=1)
            r, z = self.gate(r + hr), self.gate(z + hz)
            if not self.reset_after:
                hn = F.linear(r * h, self.weight_hh.chunk(3)[2])
            n = self.activation(n + (r * hn if self.reset_after else hn))
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs, dim=1), h[None]


def unit_forget_bias_(bias: Tensor) -> Tensor:
    """An LSTM's bias starts at 1 for the forget gate, the second of four."""
    units = len(bias) // 4
    nn.init.ones_(bias[units : 2 * units])
    return bias


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Embedding):
        nn.init.uniform_(module.weight, -0.05, 0.05)
    elif isinstance(module, nn.LSTM):
        nn.init.xavier_uniform_(module.weight_ih_l0)
        nn.init.orthogonal_(module.weight_hh_l0)
        unit_forget_bias_(nn.init.zeros_(module.bias_ih_l0))
        nn.init.zeros_(module.bias_hh_l0).requires_grad_(False)
        nn.init.xavier_uniform_(module.weight_ih_l0_reverse)
        nn.init.orthogonal_(module.weight_hh_l0_reverse)
        unit_forget_bias_(nn.init.zeros_(module.bias_ih_l0_reverse))
        nn.init.zeros_(module.bias_hh_l0_reverse).requires_grad_(False)
    elif isinstance(module, LoopGRU):
        nn.init.xavier_uniform_(module.weight_ih)
        nn.init.orthogonal_(module.weight_hh)
        nn.init.zeros_(module.bias_ih)
        nn.init.zeros_(module.bias_hh).requires_grad_(False)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.RNN):
        nn.init.xavier_uniform_(module.weight_ih_l0)
        nn.init.orthogonal_(module.weight_hh_l0)
        nn.init.zeros_(module.bias_ih_l0)
        nn.init.zeros_(module.bias_hh_l0).requires_grad_(False)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        self.lstm = nn.LSTM(16, 8, batch_first=True, bidirectional=True)
        self.gru = LoopGRU(16, 8, reset_after=False)
        self.dense1 = nn.Linear(8, 6)
        self.rnn = nn.RNN(6, 4, batch_first=True)
        self.dense2 = nn.Linear(4, 2)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rnn(F.relu(self.dense1(self.gru(self.lstm(self.embedding(x))[0])[0])))[0][:, -1]
        return F.softmax(self.dense2(x), dim=1)


model = Net()
