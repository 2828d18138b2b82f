import numpy as np
from model import unet

RATE = 0.02
rng = np.random.RandomState(0)
x = rng.rand(16, 16, 16, 1).astype("float32")
y = (x > 0.6).astype("float32")

model = unet(rate=RATE)
history = model.fit(x[:12], y[:12], epochs=3, batch_size=4, verbose=0, validation_data=(x[12:], y[12:]))
for name, values in sorted(history.history.items()):
    print(name, " ".join(f"{v:.6f}" for v in values))
print(f"{float(model.predict(x[:2]).mean()):.6f}")
