import keras
from keras import layers


def build(input_shape=(36, 36, 1), filters=4):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(filters, 3)(inputs)
    y = layers.Conv2D(filters, 5)(x)
    cut = x.shape[1] - y.shape[1]
    x = layers.Cropping2D((cut // 2, cut - cut // 2))(x)
    y = layers.Concatenate()([x, y])
    z = layers.Conv2D(filters, 9)(y)
    cut = y.shape[1] - z.shape[1]
    y = layers.Cropping2D((cut // 2, cut - cut // 2))(y)
    return keras.Model(inputs, layers.Add()([layers.Conv2D(filters, 1)(y), z]))
# output
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Build(nn.Module):
    def __init__(self, height: int = 36, in_channels: int = 1, filters: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, filters, kernel_size=3)
        self.conv2 = nn.Conv2d(filters, filters, kernel_size=5)
        cut = height - 2 - (height - 6)
        self.conv3 = nn.Conv2d(filters + filters, filters, kernel_size=9)
        self.cut2 = height - 2 - (cut // 2 + cut // 2) - (height - 2 - (cut // 2 + cut // 2) - 8)
        self.conv4 = nn.Conv2d(filters + filters, filters, kernel_size=1)
        self.cut = cut
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.conv1(inputs)
        y = self.conv2(x)
        x = F.pad(x, (-(self.cut - self.cut // 2), -(self.cut - self.cut // 2), -(self.cut // 2), -(self.cut // 2)))
        y = torch.cat([x, y], dim=1)
        z = self.conv3(y)
        y = F.pad(
            y, (-(self.cut2 - self.cut2 // 2), -(self.cut2 - self.cut2 // 2), -(self.cut2 // 2), -(self.cut2 // 2))
        )
        x = self.conv4(y) + z
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return x


def build(input_shape=(36, 36, 1), filters=4) -> Build:
    return Build(height=input_shape[0], in_channels=input_shape[-1], filters=filters)
