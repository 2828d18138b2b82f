import keras

inputs = keras.Input((16, 16, 8))
x = keras.layers.Conv2D(16, 3, groups=4, padding="same", activation="elu")(inputs)
x = keras.layers.Conv2D(16, 3, dilation_rate=2, padding="valid")(x)
x = keras.layers.Activation("gelu")(x)
model = keras.Model(inputs, x)
# output
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(8, 16, kernel_size=3, padding=1, groups=4),
            nn.ELU(),
            nn.Conv2d(16, 16, kernel_size=3, dilation=2),
            nn.GELU(),
        )
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(inputs)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return x


model = Net()
