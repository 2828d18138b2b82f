import keras
from keras import layers


class ConvBlock(keras.Model):
    """Convolution, normalization, activation."""

    def __init__(self, filters, kernel_size=3, use_bn=True, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(filters, kernel_size, padding="same", use_bias=not use_bn)
        self.bn = layers.BatchNormalization() if use_bn else None
        self.act = layers.ReLU()

    def call(self, x, training=None):
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x, training=training)
        return self.act(x)


class Base(keras.Model):
    def __init__(self, widths, **kwargs):
        super().__init__(**kwargs)
        # one block for each width
        self.blocks = [ConvBlock(w, name=f"block{i}") for i, w in enumerate(widths)]

    def call(self, inputs, training=None):
        x = inputs
        for block in self.blocks:
            x = block(x, training=training)
        return x


class Net(Base):
    def __init__(self, num_classes, widths=(8, 16), rate=0.2, name="net"):
        super().__init__(widths, name=name)
        self.num_classes = num_classes
        self.pool = layers.GlobalAveragePooling2D()
        self.drop = layers.Dropout(rate)
        self.heads = {"label": layers.Dense(num_classes), "side": layers.Dense(2, name="side")}

    def call(self, inputs, training=None):
        x = self.pool(super().call(inputs, training=training))
        if training:
            x = self.drop(x)
        return self.heads["label"](x), self.heads["side"](x)

    def train_step(self, data):
        return {}

    def get_config(self):
        return {"num_classes": self.num_classes}


def build(n=3, f=4):
    i = x = keras.Input((9, 8, 3))
    x = ConvBlock(f)(x)
    x = ConvBlock(2 * f, use_bn=False)(x)
    return keras.Model(i, Net(n)(x))


model = Net(5)
model.build((None, 12, 12, 3))
# output
import torch.nn.functional as F
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class ConvBlock(nn.Module):
    """Convolution, normalization, activation."""

    def __init__(self, in_channels: int, filters: int, kernel_size: int = 3, use_bn: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, filters, kernel_size=kernel_size, padding="same", bias=not use_bn)
        if use_bn:
            self.bn = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        else:
            self.bn = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self, num_classes: int, widths=(8, 16), rate: float = 0.2, name: str = "net") -> None:
        super().__init__()
        if widths != (8, 16):
            raise NotImplementedError("K2T301: converted for widths=(8, 16) only")
        self.block1 = ConvBlock(3, 8)
        self.block2 = ConvBlock(8, 16)
        self.drop = nn.Dropout(p=rate)
        self.heads_label = nn.Linear(16, num_classes)
        self.heads_side = nn.Linear(16, 2)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.block2(self.block1(x)).mean(dim=(2, 3))
        if self.training:
            x = self.drop(x)
        x2 = self.heads_label(x)
        x = self.heads_side(x)
        return x2, x


class Net2(nn.Module):
    def __init__(self, in_channels: int, num_classes: int, rate: float = 0.2) -> None:
        super().__init__()
        self.block1 = ConvBlock(in_channels, 8)
        self.block2 = ConvBlock(8, 16)
        self.drop = nn.Dropout(p=rate)
        self.heads_label = nn.Linear(16, num_classes)
        self.heads_side = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.block2(self.block1(x)).mean(dim=(2, 3))
        if self.training:
            x = self.drop(x)
        x2 = self.heads_label(x)
        x = self.heads_side(x)
        return x2, x


class Build(nn.Module):
    def __init__(self, n: int = 3, f: int = 4) -> None:
        super().__init__()
        self.conv_block1 = ConvBlock(3, f)
        self.conv_block2 = ConvBlock(f, 2 * f, use_bn=False)
        self.net = Net2(2 * f, n)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.conv_block2(self.conv_block1(x))
        x, x2 = self.net(x)
        return x, x2


def build(n=3, f=4) -> Build:
    return Build(n=n, f=f)


model = Net(5)
# findings
# note 34:1 K2T304 assumed-argument: Net is converted for inputs of shape (None, 12, 12, 3)
# warning 34:1 K2T301 frozen-parameter: Net is converted for one value of widths
# warning 48:5 K2T401 training-not-translated: the method train_step() of Net is left out
