from data import load
from model import build_model

model = build_model()
model.load_weights("classifier.weights.h5")
x, y = load(8)
for row in model.predict(x):
    print(" ".join(f"{v:.6f}" for v in row))
