"""U-Net for binary segmentation (Ronneberger et al., 2015)."""

import math
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def get_activation(name: str | None, dim: int = -1) -> nn.Module:
    """The module for an activation's Keras name; `dim` holds the channels."""
    modules = {
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "leaky_relu": lambda: nn.LeakyReLU(0.2),
        "linear": nn.Identity,
        "log_softmax": lambda: nn.LogSoftmax(dim=dim),
        "mish": nn.Mish,
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "selu": nn.SELU,
        "sigmoid": nn.Sigmoid,
        "silu": nn.SiLU,
        "softmax": lambda: nn.Softmax(dim=dim),
        "softplus": nn.Softplus,
        "softsign": nn.Softsign,
        "swish": nn.SiLU,
        "tanh": nn.Tanh,
    }
    if (name or "linear") not in modules:
        raise ValueError(f"the activation {name!r} is not known here")
    return modules[name or "linear"]()


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


def he_normal(layer: nn.Module) -> nn.Module:
    """The layer with the initial weights that Keras gives it."""
    variance_scaling_(layer.weight, scale=2.0)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def glorot_uniform(layer: nn.Module) -> nn.Module:
    """The layer with the initial weights that Keras gives it."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class DoubleConv(nn.Module):
    def __init__(self, in_channels: int, filters: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels = in_channels
        blocks: list[nn.Module] = []
        for _ in range(2):
            blocks += [
                he_normal(nn.Conv2d(channels, filters, kernel_size=3, padding=1)),
                nn.BatchNorm2d(filters, eps=1e-3),
                nn.LeakyReLU(0.1),
            ]
            channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(p=dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return self.dropout(x)


class UnetBlock(nn.Module):
    def __init__(self, base_filters, channels, level) -> None:
        super().__init__()
        self.double_conv = DoubleConv(channels, base_filters * 2**level)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.double_conv(x)
        x2 = F.max_pool2d(x, kernel_size=2)
        return x2, x


class UnetBlock2(nn.Module):
    def __init__(self, channels, filters, skip_channels) -> None:
        super().__init__()
        self.conv_transpose = glorot_uniform(nn.ConvTranspose2d(channels, filters, kernel_size=2, stride=2))
        self.double_conv = DoubleConv(filters + skip_channels, filters)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.double_conv(torch.cat([self.conv_transpose(x), skip], dim=1))


class Unet(nn.Module):
    def __init__(
        self, in_channels: int = 3, base_filters: int = 16, depth: int = 3, dropout: float = 0.2, num_classes: int = 1
    ) -> None:
        super().__init__()
        channels = in_channels
        skips_channels = []
        blocks1: list[nn.Module] = []
        for level in range(depth):
            blocks1.append(UnetBlock(base_filters, channels, level))
            channels = base_filters * 2**level
            skips_channels.append(base_filters * 2**level)
        self.blocks1 = nn.ModuleList(blocks1)
        self.double_conv = DoubleConv(channels, base_filters * 2**depth, dropout=dropout)
        channels = base_filters * 2**depth
        blocks2: list[nn.Module] = []
        for level, skip_channels in zip(reversed(range(depth)), reversed(skips_channels), strict=True):
            filters = base_filters * 2**level
            blocks2.append(UnetBlock2(channels, filters, skip_channels))
            channels = filters
        self.blocks2 = nn.ModuleList(blocks2)
        activation = "sigmoid" if num_classes == 1 else "softmax"
        self.mask = glorot_uniform(nn.Conv2d(channels, num_classes, kernel_size=1))
        self.activation = get_activation(activation, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        skips = []
        for block in self.blocks1:
            x, skip = block(x)
            skips.append(skip)
        x = self.double_conv(x)
        for block, skip in zip(self.blocks2, reversed(skips), strict=True):
            x = block(x, skip)
        mask = self.activation(self.mask(x))
        mask = mask.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return mask


def build_unet(input_size=(128, 128, 3), base_filters=16, depth=3, dropout=0.2, num_classes=1) -> Unet:
    """Builds the network; both sides of the input must be divisible by 2**depth."""
    return Unet(
        in_channels=input_size[-1], base_filters=base_filters, depth=depth, dropout=dropout, num_classes=num_classes
    )
