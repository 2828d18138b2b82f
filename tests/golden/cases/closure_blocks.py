from keras import Input, Model, layers


def conv(filters, **options):
    def apply(x):
        x = layers.Conv2D(filters, 3, padding="same", **options)(x)
        return layers.LeakyReLU()(x)

    return apply


def build(widths=(8, 16), input_shape=(12, 12, 1)):
    inputs = Input(input_shape)
    x = inputs
    for width in widths:
        x = conv(width, use_bias=False)(x)
    return Model(inputs, layers.Flatten()(x))
# output
import torch.nn.functional as F
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Conv(nn.Module):
    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, filters, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), 0.3)


class Build(nn.Module):
    def __init__(self, in_channels: int = 1, widths=(8, 16)) -> None:
        super().__init__()
        channels = in_channels
        blocks: list[nn.Module] = []
        for width in widths:
            blocks.append(Conv(channels, width))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.blocks(x)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return x.flatten(1)


def build(widths=(8, 16), input_shape=(12, 12, 1)) -> Build:
    return Build(in_channels=input_shape[-1], widths=widths)
