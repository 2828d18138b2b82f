"""Two inputs, two outputs with losses of different weight."""

from keras.models import Model
from keras.layers import Input, Dense, concatenate
from keras import optimizers
import numpy as np

a = Input(shape=(4,), name="a")
b = Input(shape=(3,), name="b")
h = concatenate([Dense(8, activation="relu")(a), Dense(8, activation="relu")(b)])
price = Dense(1, name="price")(h)
kind = Dense(3, activation="softmax", name="kind")(h)
model = Model([a, b], [price, kind])
opt = optimizers.Adam(learning_rate=1e-3)
model.compile(opt, loss=["mse", "sparse_categorical_crossentropy"], loss_weights=[1.0, 0.5], metrics={"kind": ["accuracy"], "price": "mae"})
rng = np.random.default_rng(0)
xa, xb = rng.random((100, 4)), rng.random((100, 3))
p, k = rng.random(100), rng.integers(0, 3, 100)
model.fit({"b": xb, "a": xa}, {"kind": k, "price": p}, epochs=2, verbose=0, validation_split=0.2)
print([float(v) for v in model.evaluate([xa, xb], [p, k], verbose=0)])

prices, kinds = model.predict([xa[:3], xb[:3]], verbose=0)
print([float(v) for v in prices[:, 0]], [float(v) for v in kinds[0]])
