"""An agent whose networks a method builds and compiles; other methods ask and train them, on what it remembers."""

import random
from collections import deque

import numpy as np
from tensorflow import keras
from tensorflow.keras import layers


class Agent:
    def __init__(self, state_size, action_size, batch_size=3):
        self.state_size = state_size
        self.action_size = action_size
        self.memory = deque(maxlen=50)
        self.gamma = 0.9
        self.epsilon = 0.5
        self.batch_size = batch_size
        self.learning_rate = 0.02
        self.model = self._build_model()
        self.target_model = self._build_model()
        self.update_target_model()

    def _build_model(self):
        model = keras.Sequential()
        model.add(layers.Dense(5, input_shape=(self.state_size,), activation="relu", kernel_initializer="identity"))
        model.add(layers.Dense(self.action_size, activation="linear", kernel_initializer="identity"))
        model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=self.learning_rate))
        return model

    def update_target_model(self):
        self.target_model.set_weights(self.model.get_weights())

    def remember(self, state, action, reward, next_state, done):
        self.memory.append((state, action, reward, next_state, done))

    def act(self, state):
        if random.random() <= self.epsilon:
            return random.randrange(self.action_size)
        return np.argmax(self.model.predict(state, verbose=0)[0])

    def replay(self):
        minibatch = random.sample(list(self.memory), self.batch_size)
        for state, action, reward, next_state, done in minibatch:
            target = reward
            if not done:
                target = reward + self.gamma * np.amax(self.target_model.predict(next_state, verbose=0)[0])
            target_f = self.model.predict(state, verbose=0)
            target_f[0][action] = target
            self.model.fit(state, target_f, epochs=1, verbose=0)


random.seed(1)
agent = Agent(4, 2)
rng = np.random.default_rng(1)
state = rng.normal(size=(1, 4)).astype("float32")
for episode in range(4):
    for t in range(4):
        action = agent.act(state)
        next_state = rng.normal(size=(1, 4)).astype("float32")
        agent.remember(state, action, float(t), next_state, t == 3)
        state = next_state
    if len(agent.memory) > agent.batch_size:
        agent.replay()
    if episode % 2:
        agent.update_target_model()
    print(agent.model.predict(state, verbose=0), agent.target_model.predict(state, verbose=0))
