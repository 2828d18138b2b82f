#!/usr/bin/env python
# Forecasts the next day of hourly energy use from the last three days.
import math

from keras.layers import GRU, Activation, Add, BatchNormalization, Conv1D, Dense, Flatten, Input, MaxPooling1D
from keras.models import Model

HOURS = 72
FEATURES = ["load", "temperature", "wind", "weekday", "holiday"]
HORIZON = 24


def dilated(x, rate):
    y = Conv1D(32, 3, padding="causal", dilation_rate=rate, name="dilated_%d" % rate)(x)
    y = BatchNormalization()(y)
    return Activation("tanh")(y)


history = Input(shape=(HOURS, len(FEATURES)), name="history")

# Local patterns: the receptive field covers a whole day.
x = Conv1D(32, 1)(history)
for power in range(int(math.log2(HORIZON)) + 1):
    x = Add()([x, dilated(x, 2**power)])

# The course of the three days
trend = MaxPooling1D(pool_size=4)(x)
trend = GRU(24)(trend)

# Yesterday counts most
recent = Flatten()(MaxPooling1D(pool_size=12)(x))
recent = Dense(24, activation="elu")(recent)

forecast = Dense(HORIZON, name="forecast")(Add()([trend, recent]))
model = Model(inputs=history, outputs=forecast)
