import math

import keras
from keras import backend as K
from keras import layers, ops


class PriorProbability(keras.initializers.Initializer):
    """A bias from which the sigmoid is `probability`."""

    def __init__(self, probability=0.01):
        self.probability = probability

    def get_config(self):
        return {"probability": self.probability}

    def __call__(self, shape, dtype=None):
        return ops.ones(shape, dtype=dtype) * -math.log((1 - self.probability) / self.probability)


class Wide(keras.initializers.VarianceScaling):
    def __init__(self):
        super().__init__(scale=3.0, mode="fan_out")


def narrow(shape, dtype=None):
    return keras.random.normal(shape, stddev=0.02)


class Bias(layers.Layer):
    def build(self, shape):
        self.start = self.add_weight(shape=(shape[-1],), initializer=PriorProbability(0.2), name="start")
        self.mix = self.add_weight(shape=(shape[-1], 4), initializer="he_normal", name="mix")
        self.gain = self.add_weight(shape=(), initializer="ones", trainable=False)

    def call(self, x):
        return ops.matmul(x + self.start, self.mix) * self.gain


def build(prior=0.01):
    i = x = keras.Input((9, 8, 3))
    x = layers.Conv2D(4, 3, kernel_initializer=narrow, bias_initializer=PriorProbability(probability=prior))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(5, kernel_initializer=Wide())(x)
    return keras.Model(i, Bias()(x))
# output
import math
import torch
from torch import Tensor, nn


def variance_scaling_(
    weight: Tensor,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    fans: tuple[int, int] | None = None,
) -> Tensor:
    """Keras's scaled weights: normals cut at two deviations keep the variance."""
    if fans is None:
        cells = weight[0][0].numel() if weight.dim() > 1 else 1
        fans = (weight.shape[min(weight.dim() - 1, 1)] * cells, len(weight) * cells)
    fan = {"fan_in": fans[0], "fan_out": fans[1], "fan_avg": sum(fans) / 2}[mode]
    variance = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return nn.init.uniform_(weight, -limit, limit)
    if distribution == "untruncated_normal":
        return nn.init.normal_(weight, std=math.sqrt(variance))
    std = math.sqrt(variance) / 0.87962566103423978
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.constant_(module.bias, -4.59511985013459)
    elif isinstance(module, nn.Linear):
        variance_scaling_(module.weight, scale=3.0, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Bias(nn.Module):
    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.start = nn.Parameter(nn.init.constant_(torch.empty(in_features), -1.3862943611198906))
        self.mix = nn.Parameter(variance_scaling_(torch.empty(in_features, 4), scale=2.0, fans=(in_features, 4)))
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.start) @ self.mix * self.gain


class Build(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, kernel_size=3)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(168, 5), Bias(5))
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.conv(x)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return self.classifier(x)


def build(prior=0.01) -> Build:
    if prior != 0.01:
        raise NotImplementedError("K2T301: converted for prior=0.01 only")
    return Build()
# findings
# warning 40:1 K2T301 frozen-parameter: build is converted for one value of prior (prior: the arguments of an initializer decide what is written)
