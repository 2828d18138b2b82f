"""Models that are trained where they have another name than where they are compiled, again and again."""

import numpy as np
from keras import Input, Sequential, optimizers
from keras.layers import Dense

x = np.random.default_rng(0).random((20, 4)).astype("float32")
y = x.sum(axis=1, keepdims=True)


def build(rate=0.05):
    model = Sequential([Input((4,)), Dense(3, activation="tanh", kernel_initializer="identity"), Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.Adam(rate), "mse")
    return model


def learn(model, epochs=1):
    return model.fit(x, y, batch_size=5, epochs=epochs, shuffle=False, verbose=0).history["loss"]


class Agent:
    def __init__(self):
        self.model = build()


class Other:
    def __init__(self, model):
        self.model = model

    def learn(self):
        return self.model.fit(x, y, batch_size=5, shuffle=False, verbose=0)


def prepare(net):
    net.compile(optimizers.SGD(0.02, momentum=0.9), "mse")


net = build()
for i in range(3):
    print(learn(net))
history = net.fit(x, y, batch_size=5, shuffle=False, verbose=0)
print(history.history["loss"], learn(net, epochs=2))

agent = Agent()
first = agent.model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
other = Other(agent.model)
for i in range(2):
    print(other.learn().history["loss"])
print(agent.model.evaluate(x, y, verbose=0))


def main():
    model = Sequential([Input((4,)), Dense(1, kernel_initializer="ones")])
    prepare(model)
    last = model.fit(x, y + 1, batch_size=5, epochs=3, shuffle=False, verbose=0)
    print(last.history["loss"])


main()
