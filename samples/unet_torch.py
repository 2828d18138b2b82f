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


class Unet(nn.Module):
    def __init__(
        self, in_channels: int = 3, base_filters: int = 16, dropout: float = 0.2, num_classes: int = 1
    ) -> None:
        super().__init__()
        self.double_conv1 = DoubleConv(in_channels, base_filters)
        self.double_conv2 = DoubleConv(base_filters, base_filters * 2)
        self.double_conv3 = DoubleConv(base_filters * 2, base_filters * 4)
        self.double_conv4 = DoubleConv(base_filters * 4, base_filters * 8, dropout=dropout)
        filters = base_filters * 4
        self.conv_transpose1 = glorot_uniform(nn.ConvTranspose2d(base_filters * 8, filters, kernel_size=2, stride=2))
        self.double_conv5 = DoubleConv(filters + base_filters * 4, filters)
        filters2 = base_filters * 2
        self.conv_transpose2 = glorot_uniform(nn.ConvTranspose2d(filters, filters2, kernel_size=2, stride=2))
        self.double_conv6 = DoubleConv(filters2 + base_filters * 2, filters2)
        self.conv_transpose3 = glorot_uniform(nn.ConvTranspose2d(filters2, base_filters, kernel_size=2, stride=2))
        self.double_conv7 = DoubleConv(base_filters + base_filters, base_filters)
        activation = "sigmoid" if num_classes == 1 else "softmax"
        self.mask = glorot_uniform(nn.Conv2d(base_filters, num_classes, kernel_size=1))
        self.activation = get_activation(activation, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.double_conv1(x)
        x2 = self.double_conv2(F.max_pool2d(x, kernel_size=2))
        x3 = self.double_conv3(F.max_pool2d(x2, kernel_size=2))
        x4 = self.double_conv4(F.max_pool2d(x3, kernel_size=2))
        x3 = self.double_conv5(torch.cat([self.conv_transpose1(x4), x3], dim=1))
        x2 = self.double_conv6(torch.cat([self.conv_transpose2(x3), x2], dim=1))
        x = self.double_conv7(torch.cat([self.conv_transpose3(x2), x], dim=1))
        mask = self.activation(self.mask(x))
        mask = mask.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return mask


def build_unet(input_size=(128, 128, 3), base_filters=16, depth=3, dropout=0.2, num_classes=1) -> Unet:
    """Builds the network; both sides of the input must be divisible by 2**depth."""
    if depth != 3:
        raise NotImplementedError("K2T301: converted for depth=3 only")
    return Unet(in_channels=input_size[-1], base_filters=base_filters, dropout=dropout, num_classes=num_classes)
