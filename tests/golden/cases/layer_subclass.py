import keras
from keras import layers


class BatchNorm(layers.BatchNormalization):
    """Can be frozen."""

    def __init__(self, freeze, *args, **kwargs):
        self.freeze = freeze
        super().__init__(*args, **kwargs)
        self.trainable = not self.freeze

    def call(self, *args, **kwargs):
        if self.freeze:
            kwargs["training"] = False
        return super().call(*args, **kwargs)


class ConvSame(layers.Conv2D):
    def __init__(self, filters, size=3, **kwargs):
        super().__init__(filters, size, padding="same", activation="relu", **kwargs)


class ScaledDense(layers.Dense):
    def __init__(self, units, scale=2.0, **kwargs):
        super().__init__(units, **kwargs)
        self.scale = scale

    def call(self, inputs):
        return super().call(inputs) * self.scale


def build(freeze=True, f=4):
    i = x = keras.Input((9, 8, 3))
    x = ConvSame(f, name="stem")(x)
    x = BatchNorm(freeze, epsilon=1e-4, name="bn_stem")(x)
    x = ConvSame(f, 1)(x)
    x = BatchNorm(False)(x)
    x = layers.Flatten()(x)
    return keras.Model(i, ScaledDense(3, 0.5)(x))
# output
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Always uses its moving statistics, as Keras does where it is not trainable."""

    def train(self, mode: bool = True) -> nn.Module:
        return super().train(False)


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Build(nn.Module):
    def __init__(self, f: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, f, kernel_size=3, padding=1)
        self.bn_stem = FrozenBatchNorm2d(f, eps=1e-4, momentum=0.01)
        self.features = nn.Sequential(
            nn.Conv2d(f, f, kernel_size=1), nn.ReLU(), nn.BatchNorm2d(f, eps=1e-3, momentum=0.01)
        )
        self.dense = nn.Linear(72 * f, 3)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(self.bn_stem(F.relu(self.stem(x))))
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return self.dense(x.flatten(1)) * 0.5


def build(freeze=True, f=4) -> Build:
    if freeze is not True:
        raise NotImplementedError("K2T301: converted for freeze=True only")
    return Build(f=f)
# findings
# warning 33:1 K2T301 frozen-parameter: build is converted for one value of freeze (freeze: what a side of a branch changes is used after it)
