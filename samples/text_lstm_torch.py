"""A sentiment classifier over word ids: embedding, bidirectional LSTM, convolution."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_WORDS = 5000
MAX_LENGTH = 80


class Settings:
    """What the experiments vary."""

    embedding_dim = 64
    lstm_units = 32
    filters = 48


def unit_forget_bias_(bias: Tensor) -> Tensor:
    """An LSTM's bias starts at 1 for the forget gate, the second of four."""
    units = len(bias) // 4
    nn.init.ones_(bias[units : 2 * units])
    return bias


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
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


class ClassifierBlock(nn.Module):
    def __init__(self, width) -> None:
        super().__init__()
        self.conv = nn.Conv1d(64, 48, kernel_size=width, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)).amax(dim=2)


class Classifier(nn.Module):
    def __init__(self, vocab_size: int = 5000) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 64)
        self.dropout = nn.Dropout1d(p=0.2)
        self.lstm = nn.LSTM(64, 32, batch_first=True, bidirectional=True)
        self.blocks = nn.ModuleList([ClassifierBlock(width) for width in (3, 5)])
        self.classifier = nn.Sequential(nn.Linear(96, 64), nn.ReLU(), nn.Dropout(p=0.5))
        self.score = nn.Linear(64, 1)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        x = x.permute(0, 2, 1)  # NLC -> NCL
        x = self.dropout(x)
        x = x.permute(0, 2, 1)  # NCL -> NLC
        x = self.lstm(x)[0]
        x = x.permute(0, 2, 1)  # NLC -> NCL
        branches = [block(x) for block in self.blocks]
        return torch.sigmoid(self.score(self.classifier(torch.cat(branches, dim=1))))


def build_classifier(vocab_size=MAX_WORDS, max_length=MAX_LENGTH, settings=Settings) -> Classifier:
    if settings is not Settings:
        raise NotImplementedError("K2T301: converted for settings=Settings only")
    return Classifier(vocab_size=vocab_size)
