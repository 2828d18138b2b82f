"""A small convolutional network for handwritten digits."""

import torch.nn.functional as F
from torch import Tensor, nn

NUM_CLASSES = 10
INPUT_SHAPE = (28, 28, 1)


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


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv2d, Conv2dSame, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class SequentialCnnKeras(nn.Module):
    def __init__(
        self, height: int = 28, width: int = 28, in_channels: int = 1, num_classes: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, kernel_size=3),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),
            Conv2dSame(32, 64, kernel_size=3, stride=2),
            nn.ReLU(),
            nn.BatchNorm2d(64, eps=1e-3, momentum=0.01),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(p=dropout),
            nn.Linear(((height - 2) // 2 + 1) // 2 * (((width - 2) // 2 + 1) // 2) * 64, 128),
            nn.ReLU(),
            nn.Linear(128, num_classes),
            nn.Softmax(dim=1),
        )
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        # Features: each stage halves the resolution.
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(x)
        # Classifier
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return self.classifier(x)


def build_model(input_shape=INPUT_SHAPE, num_classes=NUM_CLASSES, dropout=0.5) -> SequentialCnnKeras:
    """Two convolution stages and a small classifier.

    Expects images scaled to [0, 1]; returns class probabilities.
    """
    return SequentialCnnKeras(
        height=input_shape[0],
        width=input_shape[1],
        in_channels=input_shape[-1],
        num_classes=num_classes,
        dropout=dropout,
    )


if __name__ == "__main__":
    print(build_model())
