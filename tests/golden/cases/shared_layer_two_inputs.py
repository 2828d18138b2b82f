from keras.layers import Dense, Input, Subtract
from keras.models import Model

left = Input((12,), name="left")
right = Input((12,), name="right")
embed = Dense(8, activation="tanh", name="embed")
distance = Subtract()([embed(left), embed(right)])
score = Dense(1, activation="sigmoid")(distance)
siamese = Model([left, right], score)
# output
import torch
from torch import Tensor, nn


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 8)
        self.dense = nn.Linear(8, 1)
        self.apply(init_weights)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        x = torch.tanh(self.embed(left))
        return torch.sigmoid(self.dense(x - torch.tanh(self.embed(right))))


siamese = Siamese()
