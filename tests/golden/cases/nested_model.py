import keras
from keras import layers


def backbone(channels=3):
    image = keras.Input((16, 16, channels))
    x = layers.Conv2D(8, 3, activation="relu")(image)
    return keras.Model(image, layers.GlobalMaxPooling2D()(x), name="backbone")


def classifier(num_classes=4):
    image = keras.Input((16, 16, 3))
    features = backbone()(image)
    return keras.Model(image, layers.Dense(num_classes)(features))
# output
import torch.nn.functional as F
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Backbone(nn.Module):
    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, kernel_size=3)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        image = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        return F.relu(self.conv(image)).amax(dim=(2, 3))


def backbone(channels=3) -> Backbone:
    return Backbone(in_channels=channels)


class Classifier(nn.Module):
    def __init__(self, backbone_model: nn.Module, num_classes: int = 4) -> None:
        super().__init__()
        self.dense = nn.Linear(8, num_classes)
        self.apply(init_weights)
        self.backbone_model = backbone_model

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.backbone_model(x))


def classifier(num_classes=4) -> Classifier:
    backbone_model = backbone()
    return Classifier(backbone_model, num_classes=num_classes)
