from tensorflow.keras.layers import BatchNormalization, Conv2D, Input, MaxPooling2D
from tensorflow.keras.models import Model


def build(size=33):
    inputs = Input(shape=(size, size, 3))
    x = Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = BatchNormalization()(x)
    x = MaxPooling2D(3, strides=2, padding="same")(x)
    return Model(inputs, x)
# output
import torch.nn.functional as F
from torch import Tensor, nn


def same_pads(x: Tensor, kernel, stride, dilation=1) -> list[int]:
    """Keras's "same" pads as F.pad takes them: by the size, the odd cell at the end."""
    n, pads = x.dim() - 2, []
    given = (kernel, stride, dilation)
    axes = [(v,) * n if isinstance(v, int) else v for v in given]
    for size, k, s, d in reversed(list(zip(x.shape[2:], *axes, strict=True))):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


class Conv2dSame(nn.Conv2d):
    """A convolution that pads as Keras does for "same", by the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        pads = same_pads(x, self.kernel_size, self.stride, self.dilation)
        return super().forward(F.pad(x, pads))


class MaxPool2dSame(nn.MaxPool2d):
    """A maximum that pads as Keras does for "same", by the size of its input."""

    def forward(self, x: Tensor) -> Tensor:
        pads = same_pads(x, self.kernel_size, self.stride)
        return super().forward(F.pad(x, pads, value=float("-inf")))


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, Conv2dSame):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Build(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            Conv2dSame(3, 8, kernel_size=3, stride=2),
            nn.BatchNorm2d(8, eps=1e-3, momentum=0.01),
            MaxPool2dSame(kernel_size=3, stride=2),
        )
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(inputs)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return x


def build(size=33) -> Build:
    return Build()
