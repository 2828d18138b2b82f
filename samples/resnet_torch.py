"""A residual network for 32x32 images (He et al., 2015), in the functional style."""

import math
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
    if isinstance(module, Conv2dSame):
        variance_scaling_(module.weight, scale=2.0)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class ConvBn(nn.Module):
    def __init__(
        self, in_channels: int, filters: int, kernel_size: int = 3, strides: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = Conv2dSame(in_channels, filters, kernel_size=kernel_size, stride=strides, bias=False)
        self.bn = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut is projected where the shape changes."""

    def __init__(self, in_channels: int, filters: int, strides: int = 1) -> None:
        super().__init__()
        self.conv_bn1 = ConvBn(in_channels, filters, strides=strides)
        self.conv_bn2 = ConvBn(filters, filters, relu=False)
        if strides != 1 or in_channels != filters:
            self.conv_bn3 = ConvBn(in_channels, filters, kernel_size=1, strides=strides, relu=False)
        else:
            self.conv_bn3 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_bn2(self.conv_bn1(x))
        return F.relu(y + self.conv_bn3(x))


class Resnet(nn.Module):
    def __init__(self, in_channels: int = 3, depth: int = 3, num_classes: int = 10) -> None:
        super().__init__()
        self.conv_bn = ConvBn(in_channels, 16)
        channels = 16
        blocks: list[nn.Module] = []
        for stage, filters in enumerate((16, 32, 64)):
            for i in range(depth):
                blocks.append(ResidualBlock(channels, filters, strides=2 if stage > 0 and i == 0 else 1))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.logits = nn.Linear(channels, num_classes)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.conv_bn(inputs)
        x = self.blocks(x)
        return self.logits(x.mean(dim=(2, 3)))


def build_resnet(input_shape=(32, 32, 3), depth=3, num_classes=10) -> Resnet:
    """ResNet with three stages of `depth` blocks: depth 3 is ResNet-20. Returns logits."""
    return Resnet(in_channels=input_shape[-1], depth=depth, num_classes=num_classes)
