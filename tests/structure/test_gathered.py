"""Lists that a loop fills with tensors: they stay lists, at any length; what needs single tensors unrolls the loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from held import assert_same, build, convert, load

HEAD = """
import keras
from keras import layers
from keras.layers import *
from keras.models import Model

def conv(x, filters):
    x = Conv2D(filters, 3, padding="same")(x)
    x = BatchNormalization()(x)
    return ReLU()(x)
"""
DOWN = """
def build(shape=(16, 16, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    skips = []
    for i in range(depth):
        x = conv(x, filters)
        skips.append(x)
        x = MaxPooling2D(2)(x)
        filters *= 2
    x = conv(x, filters)
"""
UP = """
        filters //= 2
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skip]), filters)
    return Model(inputs, Conv2D(2, 1)(x))
"""
USES = ("build()", "build(depth=1)", "build(depth=3, filters=2)", "build((8, 24, 1), 3)")
DOWN_FUNCTION = """
def down(x, depth, filters):
    skips = []
    for i in range(depth):
        x = conv(x, filters * 2 ** i)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    return x, skips
"""
KEPT = {
    "read backwards": (f"{DOWN}    for skip in reversed(skips):{UP}", USES),
    "read by a slice": (f"{DOWN}    for skip in skips[::-1]:{UP}", USES),
    "read with another list": (
        DOWN.replace("filters=4", "filters=4, widths=(3, 5)")
        + "    for skip, width in zip(reversed(skips), widths):"
        + UP.replace("conv(Concatenate()([x, skip]), filters)", "conv(Concatenate()([x, skip]), width)"),
        ("build()", "build(depth=3, widths=(2, 3, 4))", "build((8, 8, 1), 1, 6, (3,))"),
    ),
    "read with a number": (f"{DOWN}    for i, skip in enumerate(reversed(skips)):{UP}", USES),
    "filled before the block": (
        DOWN.replace(
            "        x = conv(x, filters)\n        skips.append(x)\n",
            "        skips.append(x)\n        x = conv(x, filters)\n",
        )
        + "    for skip in reversed(skips):"
        + UP,
        USES,
    ),
    "two lists": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    before, after = [], []
    for i in range(depth):
        before.append(x)
        x = conv(x, filters + i)
        after.append(x)
    for a, b in zip(before, reversed(after)):
        x = conv(Concatenate()([x, a, b]), filters)
    return Model(inputs, x)
""",
        ("build()", "build(depth=3)", "build((8, 6, 1), 1, 3)"),
    ),
    "branches side by side": (
        """
def block(x, filters, kernels):
    found = []
    for k in kernels:
        found.append(Conv2D(filters, k, padding="same", activation="relu")(x))
    return Concatenate()(found)

def build(shape=(8, 8, 3), filters=4, kernels=(1, 3), depth=2):
    inputs = x = keras.Input(shape)
    for _ in range(depth):
        x = block(x, filters, kernels)
    return Model(inputs, Dense(3)(GlobalAveragePooling2D()(x)))
""",
        ("build()", "build(kernels=(1, 2, 5))", "build((6, 5, 1), 3, (3, 3, 3, 3), 1)"),
    ),
    "branches of several widths": (
        """
def build(shape=(8, 8, 3), widths=(2, 3, 4)):
    inputs = keras.Input(shape)
    found = []
    for w in widths:
        y = Conv2D(w, 3, padding="same")(inputs)
        found.append(BatchNormalization()(y))
    x = concatenate(found)
    return Model(inputs, Conv2D(2, 1)(x))
""",
        ("build()", "build(widths=(5, 1))", "build((6, 5, 1), (3, 3, 3, 3))"),
    ),
    "a sum and a mean": (
        """
def build(shape=(8, 8, 3), rates=(1, 2), filters=4):
    inputs = keras.Input(shape)
    sums, means = [], []
    for rate in rates:
        x = Conv2D(filters, 3, padding="same", dilation_rate=rate)(inputs)
        sums.append(x)
        means.append(Conv2D(filters, 1)(x))
    return Model(inputs, Concatenate()([Add()(sums), Average()(means)]))
""",
        ("build()", "build(rates=(1, 2, 3))", "build((6, 5, 1), (3, 1), 2)"),
    ),
    "an item by number, from a function": (
        DOWN_FUNCTION + """
def build(shape=(16, 16, 3), depth=2, filters=4):
    inputs = keras.Input(shape)
    x, skips = down(inputs, depth, filters)
    x = conv(x, filters)
    for i in reversed(range(depth)):
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skips[i]]), filters)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1)", "build((8, 24, 1), 3, 2)"),
    ),
    "an item by a number counted down, and the last": (
        DOWN_FUNCTION + """
def build(shape=(16, 16, 3), depth=3, filters=4):
    inputs = keras.Input(shape)
    x, skips = down(inputs, depth, filters)
    x = conv(x, filters)
    x = Concatenate()([UpSampling2D()(x), skips[-1]])
    for i in range(depth - 1):
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skips[depth - 2 - i]]), filters)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1)", "build((16, 8, 1), 2, 2)"),
    ),
    "taken off the end, before a loop and in it": (
        DOWN_FUNCTION + """
def build(shape=(16, 16, 3), depth=3, filters=4):
    inputs = keras.Input(shape)
    x, skips = down(inputs, depth, filters)
    x = Concatenate()([UpSampling2D()(x), skips.pop()])
    for i in range(depth - 1):
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skips.pop()]), filters)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1)", "build((16, 8, 1), 2, 2)"),
    ),
    "filled from its front": (
        """
def build(shape=(16, 16, 3), depth=3, filters=4):
    inputs = x = keras.Input(shape)
    skips = []
    for i in range(depth):
        x = conv(x, filters)
        skips = [x] + skips
        x = MaxPooling2D(2)(x)
        filters *= 2
    for skip in skips:
        filters //= 2
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skip]), filters)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1)", "build((16, 8, 1), 2, 2)"),
    ),
    "begun with an item, and one more after the loop": (
        """
def build(shape=(8, 8, 3), depth=3, filters=4):
    inputs = keras.Input(shape)
    x = conv(inputs, filters)
    feats = [x]
    for i in range(depth):
        x = conv(x, filters + i)
        feats += [x]
    feats.append(Conv2D(5, 1)(x))
    x = Concatenate()(feats)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1)", "build((4, 8, 1), 0, 2)"),
    ),
    "filled by two loops": (
        """
def build(shape=(8, 8, 3), depth=3, more=2, filters=4):
    inputs = keras.Input(shape)
    x = conv(inputs, filters)
    feats = []
    for i in range(depth):
        x = conv(x, filters + i)
        feats.append(x)
    for i in range(more):
        x = conv(x, filters)
        feats.append(x)
    x = Concatenate()(feats)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=1, more=3)", "build((4, 8, 1), 2, 1, 2)", "build(depth=3, more=0)"),
    ),
    "items of several heights and widths": (
        """
def build(size=36, depth=2, filters=4):
    inputs = x = keras.Input((size, size + 4, 3))
    skips = []
    for i in range(depth):
        x = Conv2D(filters, 3)(x)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    for skip in reversed(skips):
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        crop = (skip.shape[1] - x.shape[1]) // 2
        wide = skip.shape[2] - x.shape[2]
        skip = Cropping2D(((crop, skip.shape[1] - x.shape[1] - crop), (0, wide)))(skip)
        x = Concatenate()([x, skip])
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(52, 3)", "build(21, 1, 3)"),
    ),
    "a part of it by number": (
        DOWN_FUNCTION + """
def build(shape=(32, 32, 3), depth=4, levels=3, filters=4):
    inputs = keras.Input(shape)
    x, skips = down(inputs, depth, filters)
    for i in range(levels):
        x = Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(Concatenate()([x, skips[depth - 1 - i]]), filters)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(depth=3, levels=1)", "build((16, 8, 1), 3, 3, 2)"),
    ),
    "by number beside another list": (
        """
def build(shape=(32, 32, 3), widths=(4, 6, 8)):
    inputs = x = keras.Input(shape)
    skips = []
    for w in widths:
        x = conv(x, w)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    for i, w in enumerate(reversed(widths)):
        x = Conv2DTranspose(w, 2, strides=2)(x)
        x = conv(Concatenate()([x, skips[-(i + 1)]]), w)
    return Model(inputs, conv(x, 3))
""",
        ("build()", "build(widths=(5,))", "build((8, 16, 1), (3, 2, 5))"),
    ),
    "its items by number, backwards": (f"{DOWN}    for i in range(depth):\n        skip = skips[-1 - i]{UP}", USES),
    "counted down": (f"{DOWN}    for i in range(depth - 1, -1, -1):\n        skip = skips[i]{UP}", USES),
    "its items by number, as they are wanted": (
        f"{DOWN}    for i in range(depth):\n        skip = skips[len(skips) - 1 - i]{UP}",
        USES,
    ),
    "all taken off the end": (f"{DOWN}    for i in range(depth):\n        skip = skips.pop(){UP}", USES),
    "its length": (DOWN + "    return Model(inputs, conv(x, 2 + len(skips)))", USES),
    "added to with +": (
        DOWN.replace("skips.append(x)", "skips = skips + [x]") + f"    for skip in skips[::-1]:{UP}",
        USES,
    ),
    "put in front": (DOWN.replace("skips.append(x)", "skips.insert(0, x)") + f"    for skip in skips:{UP}", USES),
    "an item more": (
        f"{DOWN}    skips.append(x)\n    x = GlobalAveragePooling2D()(Concatenate()([x, skips[-1]]))\n    return Model(inputs, x)",
        USES,
    ),
    "the loop inside decides the size": (
        """
def build(shape=(16, 16, 3), depth=2, each=2, filters=4):
    inputs = x = keras.Input(shape)
    skips = []
    for n in range(depth):
        for i in range(each):
            x = conv(x, filters + n + i)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    for n in reversed(range(depth)):
        x = Concatenate()([UpSampling2D()(x), skips[n]])
        for i in range(each):
            x = conv(x, filters + n)
    return Model(inputs, conv(x, filters))
""",
        ("build()", "build(each=0)", "build((8, 16, 1), 3, 1, 2)"),
    ),
    "a comprehension over static items": (
        """
def build(shape=(8, 8, 3), kernels=(1, 3), filters=4):
    inputs = keras.Input(shape)
    branches = [Conv2D(filters + k, k, padding="same")(inputs) for k in kernels]
    x = Concatenate()(branches)
    return Model(inputs, conv(x, 2))
""",
        ("build()", "build(kernels=(3,))", "build((4, 8, 1), (1, 3, 5), 2)"),
    ),
    "comprehensions that nothing names, multiplied and compared": (
        """
def build(shape=(8, 8, 3), kernels=(1, 3), filters=4):
    inputs = keras.Input(shape)
    x = Multiply()([conv(inputs, filters) for k in kernels])
    y = [conv(Activation("relu")(conv(inputs, filters)), filters) for k in range(3)]
    return Model(inputs, Maximum()([x, Add()(y)]))
""",
        ("build()", "build(kernels=(3,))", "build((4, 8, 1), (1, 3, 5), 2)"),
    ),
    "a comprehension over a list": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    feats = []
    for i in range(depth):
        x = conv(x, filters + i)
        feats.append(x)
    x = Concatenate()([GlobalAveragePooling2D()(f) for f in feats])
    heads = [Dense(3, name=f"head{i}")(x) for i in range(depth)]
    return Model(inputs, Maximum()(heads))
""",
        ("build()", "build(depth=1)", "build((4, 8, 1), 3, 2)"),
    ),
    "comprehensions under one name": (
        """
def build(shape=(8, 8, 3), widths=(4, 6)):
    inputs = x = keras.Input(shape)
    feats = [conv(inputs, w) for w in widths]
    feats = [conv(f, 5) for f in feats]
    names = ["x%d" % w for w in widths]
    return Model(inputs, Average()(feats))
""",
        ("build()", "build(widths=(3,))", "build((4, 8, 1), (1, 3, 5))"),
    ),
    "more items in another list": (
        f"{DOWN}    found = skips + [conv(x, 3)]\n    found = [GlobalAveragePooling2D()(f) for f in found]\n    return Model(inputs, Concatenate()(found))",
        USES,
    ),
}
KEPT["lists that a parameter chooses"] = (
    """
def block(x, kind):
    if kind == "a":
        branches = [conv(x, 2), conv(x, 3), conv(conv(x, 2), 4)]
    elif kind == "b":
        first = conv(x, 5)
        branches = [first, x]
    else:
        raise ValueError(kind)
    mixed = Concatenate()(branches)
    return Conv2D(x.shape[-1], 1)(mixed)

def build(shape=(8, 8, 3), first="a", second="b"):
    inputs = keras.Input(shape)
    return Model(inputs, block(block(inputs, first), second))
""",
    ("build()", "build(first='b')", "build((6, 5, 1), 'b', 'a')"),
)
KEPT["loops whose results nobody reads"] = (
    """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = y = keras.Input(shape)
    found = []
    for i in range(depth):
        y = conv(y, 7)
        x = conv(x, filters + i)
        found.append(x)
    for skip in found:
        x = conv(Concatenate()([x, skip]), filters)
    return Model(inputs, Concatenate()(found))
""",
    ("build()", "build(depth=1)", "build(depth=3)"),
)
NOT_KEPT = {
    "a layer that the last iteration makes in vain": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    found = []
    for i in range(depth):
        found.append(x)
        x = conv(x, filters + i)
    return Model(inputs, Conv2D(2, 1)(Concatenate()(found)))
""",
        "depth=3",
    ),
    "layers for one side of a branch": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4, both=True):
    inputs = x = y = keras.Input(shape)
    for _ in range(depth):
        y = conv(y, filters)
    if both:
        x = Concatenate()([x, y])
    return Model(inputs, Conv2D(2, 1)(x))
""",
        "depth=3",
    ),
    "several outputs": (DOWN + "    return Model(inputs, skips + [x])", "depth=3"),
    "all are outputs": (DOWN + "    return Model(inputs, skips)", "depth=3"),
    "whether it is empty": (DOWN + "    if skips:\n        x = conv(x, 7)\n    return Model(inputs, x)", "depth=3"),
    "handed to a function": (
        f"def last(found, n):\n    return found[n]\n{DOWN}    return Model(inputs, conv(last(skips, -1), 3))",
        "depth=3",
    ),
    "taken off the end more often than is known": (
        f"{DOWN}    for i in range(filters // 16 + 1):\n        skip = skips.pop(){UP}",
        "filters=5",
    ),
    "items of which one is read": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = keras.Input(shape)
    found = []
    for i in range(depth):
        found.append(conv(inputs, filters + i))
    return Model(inputs, found[-1])
""",
        "depth=3",
    ),
    "a first item that nothing reads": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    found = [conv(x, 3)]
    for i in range(depth):
        x = conv(x, filters + i)
        found.append(x)
    return Model(inputs, Concatenate()([x, found[-1]]))
""",
        "depth=3",
    ),
    "an item more that nothing reads": (
        f"{DOWN}    skips.append(conv(x, 3))\n    return Model(inputs, Concatenate()([x, MaxPooling2D()(skips[depth - 1])]))",
        "depth=3",
    ),
    "items before it": (
        f"{DOWN}    x = Concatenate()([GlobalAveragePooling2D()(f) for f in [x] + skips])\n    return Model(inputs, x)",
        "depth=3",
    ),
    "as often as a parameter says": (
        """
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = keras.Input(shape)
    found = [inputs] * depth
    return Model(inputs, conv(Concatenate()(found), filters))
""",
        "depth=3",
    ),
    "taken by what changes": (
        f"{DOWN}    at = depth\n    for i in range(depth):\n        at -= 1\n        skip = skips[at]{UP}",
        "depth=3",
    ),
    "taken on one side of a branch": (
        DOWN + """
    for i in range(depth):
        x = UpSampling2D()(x)
        if i > 0:
            x = Concatenate()([x, skips[-1 - i]])
        x = conv(x, filters)
    return Model(inputs, x)
""",
        "depth=3",
    ),
    "tensors with their sizes": (
        f"{DOWN.replace('skips.append(x)', 'skips.append((x, filters))')}    for skip, _ in reversed(skips):{UP}",
        "depth=3",
    ),
    "its items among others": (f"{DOWN}    return Model(inputs, [x, *skips])", "depth=3"),
    "two names": (
        DOWN.replace("skips = []", "skips = others = []") + f"    for skip in reversed(others):{UP}",
        "depth=3",
    ),
    "items of several sizes added": (
        """
def build(shape=(8, 8, 3), widths=(4, 4)):
    inputs = keras.Input(shape)
    found = []
    for w in widths:
        found.append(Conv2D(w, 3, padding="same")(inputs))
    return Model(inputs, Add()(found))
""",
        "widths=(4, 4, 4)",
    ),
    "kept in a dictionary": (
        DOWN.replace("skips = []", 'skips = []\n    state = {"skips": skips}')
        + f'    for skip in reversed(state["skips"]):{UP}',
        "depth=3",
    ),
    "counted by a function": (
        """
def build(shape=(8, 8, 3), depth=2):
    inputs = x = keras.Input(shape)
    found = []
    def width():
        return 4 + len(found)
    for _ in range(depth):
        x = Conv2D(width(), 3, padding="same")(x)
        found.append(x)
    return Model(inputs, Concatenate()(found))
""",
        "depth=3",
    ),
    "filled by a function": (
        """
def down(x, skips, depth, filters):
    for _ in range(depth):
        x = conv(x, filters)
        skips.append(x)
    return x

def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    skips = []
    x = down(x, skips, depth, filters)
    for skip in reversed(skips):
        x = conv(Concatenate()([x, skip]), filters)
    return Model(inputs, x)
""",
        "depth=3",
    ),
    "under a condition": (
        DOWN.replace("        skips.append(x)", "        if i > 0:\n            skips.append(x)")
        + f"    for skip in reversed(skips):{UP}",
        "depth=3",
    ),
}


@pytest.mark.parametrize(("name", "entry"), [(n, e) for n, (_, entries) in KEPT.items() for e in entries])
def test_a_list_of_any_length(name: str, entry: str, tmp_path: Path):
    source = HEAD + KEPT[name][0]
    conversion = convert(source, "build()", tmp_path)
    assert conversion.entries[0].tier == "structure"
    assert_same(load(conversion.modules[0].text), source, entry, tmp_path)


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_needs_single_tensors_fixes_the_length(name: str, tmp_path: Path):
    source, other = HEAD + NOT_KEPT[name][0], NOT_KEPT[name][1]
    conversion = convert(source, "build()", tmp_path)
    text = conversion.modules[0].text
    assert_same(load(text), source, "build()", tmp_path)
    with pytest.raises(NotImplementedError, match="K2T30[12]"):
        build(load(text), f"build({other})")


def test_what_a_loop_checks_is_open_again_after_it(tmp_path: Path):
    """A variable of the loop passes a check in each iteration, and has another value after the last."""
    source = f"""{HEAD}
def build(shape=(8, 8, 3), depth=2, filters=4):
    inputs = x = keras.Input(shape)
    for _ in range(depth):
        if filters > 64:
            raise ValueError("too many filters")
        x = Conv2D(filters, 3, padding="same")(x)
        filters *= 8
    if filters > 64:
        x = Conv2D(5, 1)(x)
    return Model(inputs, x)
"""
    names = load(convert(source, "build()", tmp_path).modules[0].text)
    for entry in ("build()", "build(depth=1)"):
        assert_same(names, source, entry, tmp_path)
    with pytest.raises(ValueError, match="too many filters"):
        names["build"](depth=3)


def test_a_list_that_changes_after_it_was_used(tmp_path: Path):
    source = f"""{HEAD}
def block(x, widths):
    for w in widths:
        x = conv(x, w)
    return x

def build(shape=(8, 8, 3), filters=4):
    inputs = x = keras.Input(shape)
    widths = [2, 3]
    for w in widths:
        x = conv(x, w)
    x = block(x, widths)
    widths.append(filters)
    for w in widths:
        x = conv(x, w)
    x = block(x, widths)
    widths[0] = 7
    return Model(inputs, x)
"""
    conversion = convert(source, "build()", tmp_path)
    for entry in ("build()", "build(filters=6)"):
        assert_same(load(conversion.modules[0].text), source, entry, tmp_path)


def test_a_skip_goes_beside_its_block(tmp_path: Path):
    """What a person would write: a list that is filled on the way down and read backwards on the way up."""
    text = convert(HEAD + KEPT["read backwards"][0], "build()", tmp_path).modules[0].text
    assert "skips.append(skip)" in text
    assert "for block, skip in zip(self.blocks2, reversed(skips), strict=True):" in text
    assert "for skip_channels in reversed(skips_channels):" in text
