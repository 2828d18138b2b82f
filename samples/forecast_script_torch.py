#!/usr/bin/env python
# Forecasts the next day of hourly energy use from the last three days.

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HOURS = 72
FEATURES = ["load", "temperature", "wind", "weekday", "holiday"]
HORIZON = 24


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.GRU):
        nn.init.xavier_uniform_(module.weight_ih_l0)
        nn.init.orthogonal_(module.weight_hh_l0)
        nn.init.zeros_(module.bias_ih_l0)
        nn.init.zeros_(module.bias_hh_l0)


class Dilated(nn.Module):
    def __init__(self, in_channels: int, rate) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, 32, kernel_size=3, dilation=rate)
        self.bn = nn.BatchNorm1d(32, eps=1e-3, momentum=0.01)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.bn(self.conv(F.pad(x, (2 * self.rate, 0)))))


class NetBlock(nn.Module):
    def __init__(self, power) -> None:
        super().__init__()
        self.dilated = Dilated(32, 2**power)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dilated(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(5, 32, kernel_size=1)
        self.blocks = nn.Sequential(*[NetBlock(power) for power in range(5)])
        self.gru = nn.GRU(32, 24, batch_first=True)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(192, 24), nn.ELU())
        self.forecast = nn.Linear(24, 24)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        # Local patterns: the receptive field covers a whole day.
        history = x.permute(0, 2, 1)  # NLC -> NCL
        x = self.conv(history)
        x = self.blocks(x)
        # The course of the three days
        trend = F.max_pool1d(x, kernel_size=4)
        trend = trend.permute(0, 2, 1)  # NCL -> NLC
        trend = self.gru(trend)[0][:, -1]
        # Yesterday counts most
        x = F.max_pool1d(x, kernel_size=12)
        x = x.permute(0, 2, 1)  # NCL -> NLC
        return self.forecast(trend + self.classifier(x))


model = Net()
