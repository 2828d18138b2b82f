import keras
from keras import layers


class SE(layers.Layer):
    """Squeeze."""

    def __init__(self, ratio=4, **kw):
        super().__init__(**kw)
        self.ratio = ratio

    def build(self, shape):
        c = shape[-1]
        self.a = layers.Dense(max(c // self.ratio, 1), activation="relu")
        self.b = layers.Dense(c, activation="sigmoid")
        self.scale = self.add_weight(name="scale", shape=(c,), initializer="ones")

    def call(self, x):
        s = keras.ops.mean(x, axis=(1, 2), keepdims=True)
        return x * (self.scale * self.b(self.a(s)))


class Block(layers.Layer):
    def __init__(self, dim, heads=2, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(heads, dim // heads)
        self.ffn = keras.Sequential([layers.Dense(2 * dim, activation="relu"), layers.Dense(dim)])
        self.n1 = layers.LayerNormalization(epsilon=1e-6)
        self.n2 = layers.LayerNormalization(epsilon=1e-6)
        self.d1 = layers.Dropout(rate)
        self.d2 = layers.Dropout(rate)

    def call(self, x, training=None):
        a = self.d1(self.att(x, x), training=training)
        x = self.n1(x + a)
        return self.n2(x + self.d2(self.ffn(x), training=training))


def build(f=8, r=4):
    i = x = keras.Input((9, 8, 3))
    x = layers.Conv2D(f, 3)(x)
    x = SE(r)(x)
    x = layers.Conv2D(f, 3)(x)
    x = SE(2)(x)
    x = layers.Reshape((-1, f))(x)
    x = Block(f)(x)
    x = Block(f, heads=1)(x)
    return keras.Model(i, x)
# output
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Attention with heads of any size, called with query, value and key."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        out_features: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        query, key, value = sizes
        width = num_heads * (value_dim or key_dim)
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(query, num_heads * key_dim, bias=bias)
        self.key = nn.Linear(key, num_heads * key_dim, bias=bias)
        self.value = nn.Linear(value, width, bias=bias)
        self.output = nn.Linear(width, out_features or query, bias=bias)

    def heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, query: Tensor, value: Tensor, key=None) -> Tensor:
        x = F.scaled_dot_product_attention(
            self.heads(self.query(query)),
            self.heads(self.key(value if key is None else key)),
            self.heads(self.value(value)),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(x.transpose(1, 2).flatten(2))


def init_weights(module: nn.Module) -> None:
    """Starts from the distributions that Keras starts from."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, MultiHeadAttention):
        nn.init.xavier_uniform_(module.query.weight)
        nn.init.zeros_(module.query.bias)
        nn.init.xavier_uniform_(module.key.weight)
        nn.init.zeros_(module.key.bias)
        nn.init.xavier_uniform_(module.value.weight)
        nn.init.zeros_(module.value.bias)
        nn.init.xavier_uniform_(module.output.weight)
        nn.init.zeros_(module.output.bias)


class SE(nn.Module):
    """Squeeze."""

    def __init__(self, in_channels: int, ratio: int = 4) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(in_channels))
        self.a = nn.Linear(in_channels, max(in_channels // ratio, 1))
        self.b = nn.Linear(max(in_channels // ratio, 1), in_channels)

    def forward(self, x: Tensor) -> Tensor:
        s = x.mean(dim=(2, 3), keepdim=True)
        s = s.permute(0, 2, 3, 1)  # NCHW -> NHWC
        x2 = self.scale * torch.sigmoid(self.b(F.relu(self.a(s))))
        x2 = x2.permute(0, 3, 1, 2)  # NHWC -> NCHW
        return x * x2


class Block(nn.Module):
    def __init__(self, in_channels: int, dim: int, heads: int = 2, rate: float = 0.1) -> None:
        super().__init__()
        self.att = MultiHeadAttention((in_channels, in_channels, in_channels), heads, dim // heads)
        self.dense1 = nn.Linear(in_channels, 2 * dim)
        self.dense2 = nn.Linear(2 * dim, dim)
        self.n1 = nn.LayerNorm(in_channels, eps=1e-6)
        self.n2 = nn.LayerNorm(in_channels, eps=1e-6)
        self.d1 = nn.Dropout(p=rate)
        self.d2 = nn.Dropout(p=rate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.n1(x + self.d1(self.att(x, x)))
        return self.n2(x + self.d2(self.dense2(F.relu(self.dense1(x)))))


class Build(nn.Module):
    def __init__(self, f: int = 8, r: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, f, kernel_size=3), SE(f, ratio=r), nn.Conv2d(f, f, kernel_size=3), SE(f, ratio=2)
        )
        self.block1 = Block(f, f)
        self.block2 = Block(f, f, heads=1)
        self.f = f
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)  # NHWC -> NCHW
        x = self.features(x)
        x = x.permute(0, 2, 3, 1)  # NCHW -> NHWC
        return self.block2(self.block1(x.reshape(-1, 20, self.f)))


def build(f=8, r=4) -> Build:
    return Build(f=f, r=r)
