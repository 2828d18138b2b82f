import tensorflow as tf

layers = tf.keras.layers


def tcn(steps=40, features=6):
    inputs = tf.keras.Input((steps, features))
    x = inputs
    for rate in (1, 2, 4):
        x = layers.Conv1D(12, 3, padding="causal", dilation_rate=rate, groups=2 if rate > 1 else 1)(x)
        x = layers.ReLU()(x)
    return tf.keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
# output
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Conv1d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Tcn(nn.Module):
    def __init__(self, in_channels: int = 6) -> None:
        super().__init__()
        channels = in_channels
        blocks: list[nn.Module] = []
        for rate in (1, 2, 4):
            blocks += [
                nn.ZeroPad1d((2 * rate, 0)),
                nn.Conv1d(channels, 12, kernel_size=3, dilation=rate, groups=2 if rate > 1 else 1),
                nn.ReLU(),
            ]
            channels = 12
        self.blocks = nn.Sequential(*blocks)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 1)  # NLC -> NCL
        x = self.blocks(x)
        return x.mean(dim=2)


def tcn(steps=40, features=6) -> Tcn:
    return Tcn(in_channels=features)
