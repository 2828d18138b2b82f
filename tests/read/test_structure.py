"""Ring 1: what the structure of a program becomes, as text.

Each case is a program and the classes it is staged to, after all passes: parameters, loops, branches and sizes as
expressions over the parameters. Numbered names are variables of the constructor.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from staged import stage

CASES: dict[str, tuple[str, str]] = {}
"""Name → the program, and what it becomes."""
ENTRIES = {"a method of a plain class": "Net().build()", "inputs and outputs wrapped later": "Model(*build())"}
OUTCOMES = {
    "a fixed parameter": ("specialised", ("data_format",), ("K2T301",)),
    "a side that is not translated": ("structure", (), ("K2T302",)),
    "a helper that counts is written inline": ("structure", (), ("K2T203",)),
    "the flat tier": ("flat", ("stop", "units"), ("K2T303",)),
}
"""Tier, fixed parameters and codes of findings, where they are not ("structure", (), ())."""


def case(name: str, source: str, expected: str) -> None:
    CASES[name] = source.lstrip("\n"), expected.lstrip("\n")


case(
    "a helper becomes a class",
    """
def conv_bn(x, filters, kernel_size=3):
    x = Conv2D(filters, kernel_size, padding="same", use_bias=False)(x)
    return ReLU()(BatchNormalization()(x))

def build(channels=3, filters=8):
    inputs = keras.Input((16, 16, channels))
    return Model(inputs, conv_bn(inputs, filters))
""",
    """
class ConvBn(%0: [?, height, width, in_channels] first) of (in_channels, filters, kernel_size=3):
  %1: [?, height, width, filters] first = nn.Conv2d(in_channels, filters, kernel_size=kernel_size, padding='same', bias=False) (%0)
  %2: [?, height, width, filters] first = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01) (%1)
  %3: [?, height, width, filters] first = nn.ReLU() (%2)
  return %3
class Build(%0: [?, 16, 16, in_channels] keras) of (in_channels=3, filters=8):
  %1: [?, 16, 16, in_channels] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 16, 16, filters] first = ConvBn(filters=filters, kernel_size=3, height=16, width=16, in_channels=in_channels) (%1)
  %3: [?, 16, 16, filters] keras = {0}.permute(0, 2, 3, 1) (%2)
  return %3
def build(channels=3, filters=8):
  Build(in_channels=channels, filters=filters)
""",
)
case(
    "two uses, one class",
    """
def unit(x, filters):
    x = Conv2D(filters, 3)(x)
    return LeakyReLU()(x)

def build(filters=8):
    inputs = keras.Input((16, 16, 3))
    x = unit(inputs, filters)
    return Model(inputs, unit(x, filters * 2))
""",
    """
class Unit(%0: [?, height, width, in_channels] first) of (in_channels, filters):
  %1: [?, height - 2, width - 2, filters] first = nn.Conv2d(in_channels, filters, kernel_size=3) (%0)
  %2: [?, height - 2, width - 2, filters] first = nn.LeakyReLU(0.3) (%1)
  return %2
class Build(%0: [?, 16, 16, 3] keras) of (filters=8):
  %1: [?, 16, 16, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 14, 14, filters] first = Unit(filters=filters, height=16, width=16, in_channels=3) (%1)
  %3: [?, 12, 12, filters * 2] first = Unit(filters=filters * 2, height=14, width=14, in_channels=filters) (%2)
  %4: [?, 12, 12, filters * 2] keras = {0}.permute(0, 2, 3, 1) (%3)
  return %4
def build(filters=8):
  Build(filters=filters)
""",
)
case(
    "one class for each rank",
    """
def head(x, units):
    x = BatchNormalization()(x)
    return Dense(units)(x)

def build(units=4):
    inputs = keras.Input((6, 6, 3))
    x = head(inputs, units)
    return Model(inputs, head(Flatten()(x), units))
""",
    """
class Head(%0: [?, height, width, in_channels] first) of (in_channels, units):
  %1: [?, height, width, in_channels] first = nn.BatchNorm2d(in_channels, eps=1e-3, momentum=0.01) (%0)
  %2: [?, height, width, in_channels] keras = {0}.permute(0, 2, 3, 1) (%1)
  %3: [?, height, width, units] keras = nn.Linear(in_channels, units) (%2)
  return %3
class Head(%0: [?, in_features]) of (in_features, units):
  %1: [?, in_features] = nn.BatchNorm1d(in_features, eps=1e-3, momentum=0.01) (%0)
  %2: [?, units] = nn.Linear(in_features, units) (%1)
  return %2
class Build(%0: [?, 6, 6, 3] keras) of (units=4):
  %1: [?, 6, 6, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, units] = Head(units=units, height=6, width=6, in_channels=3) > nn.Flatten() > Head(units=units, in_features=36 * units) (%1)
  return %2
def build(units=4):
  Build(units=units)
""",
)
case(
    "a parameter decides a part",
    """
def build(dropout=True, units=4):
    inputs = keras.Input((8,))
    x = Dense(units)(inputs)
    if dropout:
        x = Dropout(0.5)(x)
    return Model(inputs, Dense(2)(x))
""",
    """
class Build(%0: [?, 8]) of (dropout=True, units=4):
  %1: [?, 2] = nn.Linear(8, units) > (nn.Dropout(p=0.5) if dropout else identity) > nn.Linear(units, 2) (%0)
  return %1
def build(dropout=True, units=4):
  Build(dropout=dropout, units=units)
""",
)
case(
    "sides of different kinds",
    """
def build(deep=True, units=4):
    inputs = keras.Input((8,))
    x = Dense(units)(inputs)
    if deep:
        x = Dense(units)(x)
        x = Dense(units * 2)(x)
    else:
        x = BatchNormalization()(x)
    return Model(inputs, Dense(2)(x))
""",
    """
class Build(%0: [?, 8]) of (deep=True, units=4):
  %1: [?, units] = nn.Linear(8, units) (%0)
  %2: [?, features.1] = (nn.Linear(units, units) > nn.Linear(units, units * 2) if deep else nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)) (%1)
  let features.1 = units * 2 if deep else units
  %3: [?, 2] = nn.Linear(features.1, 2) (%2)
  return %3
def build(deep=True, units=4):
  Build(deep=deep, units=units)
""",
)
case(
    "an early return",
    """
def maybe(x, units):
    if units is None:
        return x
    x = Dense(units)(x)
    return Activation("tanh")(x)

def build(units=4):
    inputs = keras.Input((8,))
    return Model(inputs, maybe(maybe(inputs, units), 3))
""",
    """
class Maybe(%0: [?, in_features]) of (in_features, units):
  %1: [?, features.1] = (identity if units is None else nn.Linear(in_features, units) > nn.Tanh()) (%0)
  return %1
class Build(%0: [?, 8]) of (units=4):
  %1: [?, member.1.out_features] = Maybe(units=units, in_features=8) (%0)
  %2: [?, 3] = Maybe(units=3, in_features=member.1.out_features) (%1)
  return %2
def build(units=4):
  Build(units=units)
""",
)
case(
    "a loop over a literal",
    """
def build(features=8):
    inputs = x = keras.Input((features,))
    for units in (16, 8, 4):
        x = Dense(units, activation="relu")(x)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, in_features]) of (in_features=8):
  let channels.1 = in_features
  for units.1 in (16, 8, 4):
    carried %0 -> %1: [?, channels.1] .. %2 -> %3: [?, channels.1]
    %4: [?, units.1] = nn.Linear(channels.1, units.1) (%1)
    %2: [?, units.1] = nn.ReLU() (%4)
    let channels.1 = units.1
  return %3
def build(features=8):
  Build(in_features=features)
""",
)
case(
    "a loop over a range",
    """
def build(depth=3, units=8):
    inputs = x = keras.Input((8,))
    for _ in range(depth):
        x = Dense(units)(x)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, 8]) of (depth=3, units=8):
  let channels.1 = 8
  for _.1 in range(depth):
    carried %0 -> %1: [?, channels.1] .. %2 -> %3: [?, channels.1]
    %2: [?, units] = nn.Linear(channels.1, units) (%1)
    let channels.1 = units
  return %3
def build(depth=3, units=8):
  Build(depth=depth, units=units)
""",
)
case(
    "nested loops",
    """
def block(x, filters):
    return Add()([x, Conv2D(filters, 3, padding="same")(x)])

def build(stages=(4, 8), depth=2):
    inputs = x = keras.Input((8, 8, 3))
    for filters in stages:
        x = Conv2D(filters, 1)(x)
        for _ in range(depth):
            x = block(x, filters)
    return Model(inputs, x)
""",
    """
class Block(%0: [?, height, width, in_channels] first) of (in_channels, filters):
  %1: [?, height, width, filters] first = nn.Conv2d(in_channels, filters, kernel_size=3, padding=1) (%0)
  %2: [?, height, width, in_channels] first = {0} + {1} (%0, %1)
  return %2
class Build(%0: [?, 8, 8, 3] keras) of (stages=(4, 8), depth=2):
  let channels.1 = 3
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  for filters.1 in stages:
    carried %1 -> %2: [?, 8, 8, channels.1] first .. %3 -> %4: [?, 8, 8, channels.1] first
    %5: [?, 8, 8, filters.1] first = nn.Conv2d(channels.1, filters.1, kernel_size=1) (%2)
    for _.1 in range(depth):
      carried %5 -> %6: [?, 8, 8, filters.1] first .. %7 -> %3: [?, 8, 8, filters.1] first
      %7: [?, 8, 8, filters.1] first = Block(filters=filters.1, height=8, width=8, in_channels=filters.1) (%6)
    let channels.1 = filters.1
  %8: [?, 8, 8, channels.1] keras = {0}.permute(0, 2, 3, 1) (%4)
  return %8
def build(stages=(4, 8), depth=2):
  Build(stages=stages, depth=depth)
""",
)
case(
    "zip and enumerate",
    """
def build(widths=(4, 8), rates=(0.1, 0.2)):
    inputs = x = keras.Input((8,))
    for i, (w, r) in enumerate(zip(widths, rates)):
        x = Dense(w * (i + 1))(x)
        x = Dropout(r)(x)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, 8]) of (widths=(4, 8), rates=(0.1, 0.2)):
  let channels.1 = 8
  for (i.1, (w.1, r.1)) in enumerate(zip(widths, rates)):
    carried %0 -> %1: [?, channels.1] .. %2 -> %3: [?, channels.1]
    %4: [?, w.1 * (i.1 + 1)] = nn.Linear(channels.1, w.1 * (i.1 + 1)) (%1)
    %2: [?, w.1 * (i.1 + 1)] = nn.Dropout(p=r.1) (%4)
    let channels.1 = w.1 * (i.1 + 1)
  return %3
def build(widths=(4, 8), rates=(0.1, 0.2)):
  Build(widths=widths, rates=rates)
""",
)
case(
    "channels that grow",
    """
def build(n=3, growth=4):
    inputs = x = keras.Input((8, 8, 3))
    for _ in range(n):
        x = Concatenate()([x, Conv2D(growth, 3, padding="same")(x)])
    return Model(inputs, Conv2D(2, 1)(x))
""",
    """
class BuildBlock(%0: [?, 8, 8, channels.1] first) of (channels.1, growth):
  %1: [?, 8, 8, growth] first = nn.Conv2d(channels.1, growth, kernel_size=3, padding=1) (%0)
  %2: [?, 8, 8, channels.1 + growth] first = torch.cat([{0}, {1}], dim=1) (%0, %1)
  return %2
class Build(%0: [?, 8, 8, 3] keras) of (n=3, growth=4):
  let channels.1 = 3
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  for _.1 in range(n):
    carried %1 -> %2: [?, 8, 8, channels.1] first .. %3 -> %4: [?, 8, 8, channels.1] first
    %3: [?, 8, 8, channels.1 + growth] first = BuildBlock(channels.1=channels.1, growth=growth) (%2)
    let channels.1 = channels.1 + growth
  %5: [?, 8, 8, 2] first = nn.Conv2d(channels.1, 2, kernel_size=1) (%4)
  %6: [?, 8, 8, 2] keras = {0}.permute(0, 2, 3, 1) (%5)
  return %6
def build(n=3, growth=4):
  Build(n=n, growth=growth)
""",
)
case(
    "a number carried by a loop",
    """
def build(depth=2, filters=4):
    inputs = x = keras.Input((16, 16, 3))
    for _ in range(depth):
        x = Conv2D(filters, 3, padding="same")(x)
        filters *= 2
    return Model(inputs, Conv2D(filters, 1)(x))
""",
    """
class Build(%0: [?, 16, 16, 3] keras) of (depth=2, filters=4):
  let channels.1 = 3
  let filters.1 = filters
  %1: [?, 16, 16, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  for _.1 in range(depth):
    carried %1 -> %2: [?, 16, 16, channels.1] first .. %3 -> %4: [?, 16, 16, channels.1] first
    %3: [?, 16, 16, filters.1] first = nn.Conv2d(channels.1, filters.1, kernel_size=3, padding=1) (%2)
    let channels.1 = filters.1
    let filters.1 = filters.1 * 2
  %5: [?, 16, 16, filters.1] first = nn.Conv2d(channels.1, filters.1, kernel_size=1) (%4)
  %6: [?, 16, 16, filters.1] keras = {0}.permute(0, 2, 3, 1) (%5)
  return %6
def build(depth=2, filters=4):
  Build(depth=depth, filters=filters)
""",
)
case(
    "two numbers exchanged by a loop",
    """
def build(n=2, a=3, b=5):
    inputs = x = keras.Input((8,))
    for _ in range(n):
        x = Dense(a)(x)
        a, b = b, a
    return Model(inputs, Dense(b)(x))
""",
    """
class Build(%0: [?, 8]) of (n=2, a=3, b=5):
  let channels.1 = 8
  let a.1 = a
  let b.1 = b
  for _.1 in range(n):
    carried %0 -> %1: [?, channels.1] .. %2 -> %3: [?, channels.1]
    %2: [?, a.1] = nn.Linear(channels.1, a.1) (%1)
    let channels.1 = a.1
    let a.2 = a.1
    let a.1 = b.1
    let b.1 = a.2
  %4: [?, b.1] = nn.Linear(channels.1, b.1) (%3)
  return %4
def build(n=2, a=3, b=5):
  Build(n=n, a=a, b=b)
""",
)
case(
    "a static helper stays a call",
    """
def rounded(value, divisor=8):
    return max(divisor, int(value + divisor / 2) // divisor * divisor)

def build(alpha=1.0):
    inputs = keras.Input((8, 8, 3))
    return Model(inputs, Conv2D(rounded(32 * alpha), 3)(inputs))
""",
    """
class Build(%0: [?, 8, 8, 3] keras) of (alpha=1.0):
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 6, 6, rounded(32 * alpha)] first = nn.Conv2d(3, rounded(32 * alpha), kernel_size=3) (%1)
  %3: [?, 6, 6, rounded(32 * alpha)] keras = {0}.permute(0, 2, 3, 1) (%2)
  return %3
def build(alpha=1.0):
  Build(alpha=alpha)
""",
)
case(
    "a function that returns a function",
    """
def unit(filters, kernel=3):
    def apply(x):
        return ReLU()(Conv2D(filters, kernel, padding="same")(x))
    return apply

def build(width=4):
    inputs = keras.Input((8, 8, 3))
    return Model(inputs, unit(width * 2, 1)(unit(width)(inputs)))
""",
    """
class Unit(%0: [?, height, width, in_channels] first) of (in_channels, filters, kernel):
  %1: [?, height, width, filters] first = nn.Conv2d(in_channels, filters, kernel_size=kernel, padding='same') (%0)
  %2: [?, height, width, filters] first = nn.ReLU() (%1)
  return %2
class Unit(%0: [?, height, width, in_channels] first) of (in_channels, filters, kernel):
  %1: [?, height, width, filters] first = nn.Conv2d(in_channels, filters, kernel_size=kernel, padding='same') (%0)
  %2: [?, height, width, filters] first = nn.ReLU() (%1)
  return %2
class Build(%0: [?, 8, 8, 3] keras) of (width=4):
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 8, 8, width] first = Unit(kernel=3, height=8, width=8, in_channels=3, filters=width) (%1)
  %3: [?, 8, 8, width * 2] first = Unit(kernel=1, height=8, width=8, in_channels=width, filters=width * 2) (%2)
  %4: [?, 8, 8, width * 2] keras = {0}.permute(0, 2, 3, 1) (%3)
  return %4
def build(width=4):
  Build(width=width)
""",
)
case(
    "a function passed as an argument",
    """
def plain_block(x, filters):
    return Conv2D(filters, 3, padding="same")(x)

def stack(x, block, filters, n):
    for _ in range(n):
        x = block(x, filters)
    return x

def build(width=4, n=2):
    inputs = keras.Input((8, 8, 3))
    return Model(inputs, stack(inputs, plain_block, width, n))
""",
    """
class PlainBlock(%0: [?, height, width, in_channels] first) of (in_channels, filters):
  %1: [?, height, width, filters] first = nn.Conv2d(in_channels, filters, kernel_size=3, padding=1) (%0)
  return %1
class Stack(%0: [?, height, width, in_channels] first) of (in_channels, filters, n):
  let channels.1 = in_channels
  for _.1 in range(n):
    carried %0 -> %1: [?, height, width, channels.1] first .. %2 -> %3: [?, height, width, channels.1] first
    %2: [?, height, width, filters] first = PlainBlock(filters=filters, height=height, width=width, in_channels=channels.1) (%1)
    let channels.1 = filters
  return %3
class Build(%0: [?, 8, 8, 3] keras) of (width=4, n=2):
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 8, 8, member.1.out_channels] first = Stack(filters=width, n=n, height=8, width=8, in_channels=3) (%1)
  %3: [?, 8, 8, member.1.out_channels] keras = {0}.permute(0, 2, 3, 1) (%2)
  return %3
def build(width=4, n=2):
  Build(width=width, n=n)
""",
)
case(
    "a method of a plain class",
    """
class Net:
    def __init__(self, width=4):
        self.width = width

    def conv(self, x, times):
        return Conv2D(self.width * times, 3)(x)

    def build(self, channels=3):
        inputs = keras.Input((8, 8, channels))
        return Model(inputs, self.conv(self.conv(inputs, 1), 2))
""",
    """
class Conv(%0: [?, height, width, in_channels] first) of (in_channels, times, outer_width):
  %1: [?, height - 2, width - 2, outer_width * times] first = nn.Conv2d(in_channels, outer_width * times, kernel_size=3) (%0)
  return %1
class NetModel(%0: [?, 8, 8, in_channels] keras) of (in_channels, width.1):
  %1: [?, 8, 8, in_channels] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 6, 6, width.1] first = Conv(times=1, height=8, width=8, in_channels=in_channels, outer_width=width.1) (%1)
  %3: [?, 4, 4, width.1 * 2] first = Conv(times=2, height=6, width=6, in_channels=width.1, outer_width=width.1) (%2)
  %4: [?, 4, 4, width.1 * 2] keras = {0}.permute(0, 2, 3, 1) (%3)
  return %4
def build(self, channels=3):
  NetModel(in_channels=channels, width.1=width.1)
""",
)
case(
    "inputs and outputs wrapped later",
    """
def build(units=4):
    inputs = keras.Input((8,))
    return inputs, Dense(units)(inputs)
""",
    """
class Build(%0: [?, 8]) of (units=4):
  %1: [?, units] = nn.Linear(8, units) (%0)
  return %1
def build(units=4):
  Build(units=units)
""",
)
case(
    "a shared layer",
    """
def build(units=4):
    a, b = keras.Input((8,)), keras.Input((8,))
    shared = Dense(units)
    return Model([a, b], Concatenate()([shared(a), shared(b)]))
""",
    """
class Build(%0: [?, 8], %1: [?, 8]) of (units=4):
  %2: [?, units] = nn.Linear(8, units) (%0)
  %3: [?, units] = nn.Linear(8, units) (%1)
  %4: [?, units + units] = torch.cat([{0}, {1}], dim=1) (%2, %3)
  return %4
def build(units=4):
  Build(units=units)
""",
)
case(
    "a nested model",
    """
def encoder(units):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(units)(inputs))

def build(units=4):
    inputs = keras.Input((8,))
    x = encoder(units)(inputs)
    return Model(inputs, Dense(2)(x))
""",
    """
class Build(%0: [?, 8]) of (encoder_model.1, units=4):
  %1: [?, units] = encoder_model.1 (%0)
  %2: [?, 2] = nn.Linear(units, 2) (%1)
  return %2
def build(units=4):
  let encoder_model.1 = encoder(units)
  Build(encoder_model.1=encoder_model.1, units=units)
""",
)
case(
    "a fixed parameter",
    """
def build(data_format="channels_last", units=4):
    inputs = keras.Input((8, 8, 3))
    x = Conv2D(units, 3, data_format=data_format)(inputs)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, 8, 8, 3] keras) of (units=4):
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 6, 6, units] first = nn.Conv2d(3, units, kernel_size=3) (%1)
  %3: [?, 6, 6, units] keras = {0}.permute(0, 2, 3, 1) (%2)
  return %3
def build(data_format='channels_last', units=4) with data_format fixed:
  Build(units=units)
""",
)
case(
    "a side that is not translated",
    """
def build(odd=False, units=4):
    inputs = keras.Input((8,))
    x = Dense(units)(inputs)
    if odd:
        x = HashedCrossing(5)(x)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, 8]) of (units=4):
  %1: [?, units] = nn.Linear(8, units) (%0)
  return %1
def build(odd=False, units=4):
  if odd:
    raise NotImplementedError('K2T101: the layer HashedCrossing is not translated: torch has no tensors of strings, as which numbers are hashed as well')
  else:
  Build(units=units)
""",
)
case(
    "the flat tier",
    """
def build(stop=2, units=4):
    inputs = x = keras.Input((8,))
    for i in range(3):
        if i == stop:
            break
        x = Dense(units)(x)
    return Model(inputs, x)
""",
    """
class Build(%0: [?, 8]) of ():
  %1: [?, 4] = nn.Linear(8, 4) (%0)
  %2: [?, 4] = nn.Linear(4, 4) (%1)
  return %2
def build(stop=2, units=4) with stop, units fixed:
  Build()
""",
)
case(
    "channels after Concatenate",
    """
def build(a=4, b=6):
    inputs = keras.Input((8, 8, 3))
    x = Concatenate()([Conv2D(a, 1)(inputs), Conv2D(b, 1)(inputs), inputs])
    return Model(inputs, Conv2D(2, 1)(x))
""",
    """
class Build(%0: [?, 8, 8, 3] keras) of (a=4, b=6):
  %1: [?, 8, 8, 3] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, 8, 8, a] first = nn.Conv2d(3, a, kernel_size=1) (%1)
  %3: [?, 8, 8, b] first = nn.Conv2d(3, b, kernel_size=1) (%1)
  %4: [?, 8, 8, a + b + 3] first = torch.cat([{0}, {1}, {2}], dim=1) (%2, %3, %1)
  %5: [?, 8, 8, 2] first = nn.Conv2d(a + b + 3, 2, kernel_size=1) (%4)
  %6: [?, 8, 8, 2] keras = {0}.permute(0, 2, 3, 1) (%5)
  return %6
def build(a=4, b=6):
  Build(a=a, b=b)
""",
)
case(
    "sizes after Flatten",
    """
def build(shape=(16, 12, 3), filters=4):
    inputs = keras.Input(shape)
    x = Conv2D(filters, 3)(inputs)
    x = MaxPooling2D(2)(x)
    return Model(inputs, Dense(2)(Flatten()(x)))
""",
    """
class Build(%0: [?, height, width, in_channels] keras) of (height=16, width=12, in_channels=3, filters=4):
  %1: [?, height, width, in_channels] first = {0}.permute(0, 3, 1, 2) (%0)
  %2: [?, height - 2, width - 2, filters] first = nn.Conv2d(in_channels, filters, kernel_size=3) (%1)
  %3: [?, (height - 2) // 2, (width - 2) // 2, filters] first = nn.MaxPool2d(kernel_size=2) (%2)
  %4: [?, (height - 2) // 2, (width - 2) // 2, filters] keras = {0}.permute(0, 2, 3, 1) (%3)
  %5: [?, (height - 2) // 2 * ((width - 2) // 2) * filters] = nn.Flatten() (%4)
  %6: [?, 2] = nn.Linear((height - 2) // 2 * ((width - 2) // 2) * filters, 2) (%5)
  return %6
def build(shape=(16, 12, 3), filters=4):
  Build(height=shape[0], width=shape[1], in_channels=shape[-1], filters=filters)
""",
)
case(
    "a raise on a parameter stays",
    """
def build(units=4, activation="relu"):
    if units < 1:
        raise ValueError("units must be positive")
    inputs = keras.Input((8,))
    return Model(inputs, Dense(units, activation=activation)(inputs))
""",
    """
class Build(%0: [?, 8]) of (units=4, activation='relu'):
  %1: [?, units] = nn.Linear(8, units) (%0)
  %2: [?, units] = get_activation(activation) (%1)
  return %2
def build(units=4, activation='relu'):
  if units < 1:
    raise ValueError('units must be positive')
  else:
  Build(units=units, activation=activation)
""",
)
case(
    "a helper that counts is written inline",
    """
count = [0]

def unit(x):
    count.append(1)
    return Dense(len(count))(x)

def build(units=4):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(units)(unit(unit(inputs))))
""",
    """
class Build(%0: [?, 8]) of (units=4):
  %1: [?, 2] = nn.Linear(8, 2) (%0)
  %2: [?, 3] = nn.Linear(2, 3) (%1)
  %3: [?, units] = nn.Linear(3, units) (%2)
  return %3
def build(units=4):
  Build(units=units)
""",
)
case(
    "parameters of the top level",
    """
WIDTH = 6

def build(classes=2):
    inputs = keras.Input((8,))
    return Model(inputs, Dense(classes)(Dense(WIDTH)(inputs)))
""",
    """
class Build(%0: [?, 8]) of (classes=2):
  %1: [?, 6] = nn.Linear(8, 6) (%0)
  %2: [?, classes] = nn.Linear(6, classes) (%1)
  return %2
def build(classes=2):
  Build(classes=classes)
""",
)


@pytest.mark.parametrize("name", CASES)
def test_the_classes_a_program_becomes(name: str, tmp_path: Path):
    source, expected = CASES[name]
    staged = stage(source, tmp_path, ENTRIES.get(name, "build()"))
    assert staged.text + "\n" == expected
    assert (staged.tier, staged.frozen, staged.codes) == OUTCOMES.get(name, ("structure", (), ()))


def test_all_uses_of_a_helper_share_its_class(tmp_path: Path):
    source = """
def unit(x, filters, strides=1):
    return ReLU()(Conv2D(filters, 3, strides=strides, padding="same")(x))

def build(shape=(16, 16, 3), depth=2):
    inputs = keras.Input(shape)
    x = unit(inputs, 4, strides=2)
    for i in range(depth):
        x = unit(x, 4 * 2**i)
    return Model(inputs, unit(x, filters=3))
"""
    assert stage(source, tmp_path).classes == ("Unit", "Build")


@pytest.mark.parametrize("entry", ["build()", "build(depth=1)", "build(depth=4)"])
def test_the_text_does_not_depend_on_the_numbers_seen(entry: str, tmp_path: Path):
    source = """
def unit(x, filters, bn=True):
    x = Conv2D(filters, 3, padding="same", use_bias=not bn)(x)
    if bn:
        x = BatchNormalization()(x)
    return ReLU()(x)

def build(shape=(16, 16, 3), depth=2, bn=True):
    inputs = keras.Input(shape)
    x = unit(inputs, 4, bn)
    for i in range(depth):
        x = unit(x, 4 * 2**i, bn)
    return Model(inputs, GlobalAveragePooling2D()(x))
"""
    expected = stage(source, tmp_path, "build(depth=3)")
    found = stage(source, tmp_path, entry)
    assert (found.text, found.tier) == (expected.text, "structure")


def test_a_loop_that_did_not_run_fixes_its_count(tmp_path: Path):
    """Nothing is known of its body, so the result refuses other counts."""
    source = """
def build(depth=2):
    inputs = x = keras.Input((8,))
    for i in range(depth):
        x = Dense(4)(x)
    return Model(inputs, Dense(2)(x))
"""
    staged = stage(source, tmp_path, "build(0)")
    assert (staged.tier, staged.frozen) == ("specialised", ("depth",))
