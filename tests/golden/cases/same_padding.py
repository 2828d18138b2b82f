from keras import Input, Model, layers


def build(height=17, width=20, strides=3):
    """Sizes and strides that need other padding on the two sides."""
    image = Input((height, width, 4))
    a = layers.Conv2D(6, 3, strides=strides, padding="same")(image)
    b = layers.MaxPooling2D(2, strides=strides, padding="same")(image)
    c = layers.AveragePooling2D(3, strides=strides, padding="same")(image)
    return Model(image, layers.concatenate([a, b, c]))
# output
import torch
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


class AvgPool2dSame(nn.AvgPool2d):
    """A mean that pads as Keras does for "same", and does not count the padding."""

    def forward(self, x: Tensor) -> Tensor:
        pads = same_pads(x, self.kernel_size, self.stride)
        share = super().forward(F.pad(torch.ones_like(x[:1, :1]), pads))
        return super().forward(F.pad(x, pads)) / share


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, Conv2dSame):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Build(nn.Module):
    def __init__(self, strides: int = 3) -> None:
        super().__init__()
        self.conv = Conv2dSame(4, 6, kernel_size=3, stride=strides)
        self.pool1 = MaxPool2dSame(kernel_size=2, stride=strides)
        self.pool2 = AvgPool2dSame(kernel_size=3, stride=strides)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        image = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        a = self.conv(image)
        b = self.pool1(image)
        x = torch.cat([a, b, self.pool2(image)], dim=1)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return x


def build(height=17, width=20, strides=3) -> Build:
    """Sizes and strides that need other padding on the two sides."""
    return Build(strides=strides)
