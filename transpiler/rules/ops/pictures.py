"""Functions of `keras.ops.image` besides resizing and patches: colours, borders, blurs, edges, other places."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import Layout, TensorType
from transpiler.rules.augmentation import FILLS
from transpiler.rules.base import per_axis, show
from transpiler.rules.ops.base import OpRule, example, is_float, leaf_of, one, operand_text, operands, tensor
from transpiler.rules.ops.image import Picture, channels_last, image


class ChangeColors(OpRule):
    """Red, green and blue to hue, saturation and value, and back; or to gray."""

    batched = True
    names = ("ops.image.rgb_to_hsv", "ops.image.hsv_to_rgb", "ops.image.rgb_to_grayscale")
    signature = "x, data_format=None"
    renames = {"images": "x"}
    examples = (
        example("ops.image.rgb_to_hsv(abs(x))", x=(2, 4, 5, 3)),
        example("ops.image.rgb_to_hsv(abs(x), data_format='channels_first')", x=(2, 3, 4, 5)),
        example("ops.image.hsv_to_rgb(ops.stop_gradient(ops.sigmoid(x)))", x=(2, 4, 5, 3)),
        example("ops.image.rgb_to_grayscale(x)", x=(2, 4, 5, 3)),
        example("ops.image.rgb_to_grayscale(x, data_format='channels_first')", x=(2, 3, 4, 5)),
        example("ops.image.rgb_to_grayscale(x) * 2.0", x=(2, 4, 5, 1)),
    )

    def wants(self, path: str, a: Args) -> Layout | None:
        return None if channels_last(a) else Layout.KERAS

    def lower(self, path: str, a: Args) -> Lowering:
        x, leaf = tensor(a), leaf_of(path)
        axis = -1 if channels_last(a) else -3
        if x.rank not in (3, 4) or not is_float(x.dtype) or x.shape[axis] not in (1, 3):
            raise Declined("K2T103", f"{leaf} of {x.dtype} with {show(x.shape[axis])} channels is not translated")
        dim = x.type.axis(axis)
        if leaf != "rgb_to_grayscale":
            if x.shape[axis] != 3:
                raise Declined("K2T103", f"{leaf} of one channel is not translated")
            return one(f"{leaf}({{0}}, dim={dim})", x.shape, x.dtype, x.type.layout, helpers=(leaf,))
        if x.shape[axis] == 1:
            return Lowering([], [x.type])
        shape = tuple(1 if i == x.rank + axis else d for i, d in enumerate(x.shape))
        weights = f"{{0}}.new_tensor([0.2989, 0.587, 0.114]){'.view(-1' + ', 1' * (x.rank - 1 - dim) + ')'}"
        weights = weights.removesuffix(".view(-1)")
        return one(f"({{0}} * {weights}).sum(dim={dim}, keepdim=True)", shape, x.dtype, x.type.layout)


class Frame(Picture):
    """A border put around images, or cut off: two of before, after and the size that is wanted are given."""

    names = ("ops.image.pad_images", "ops.image.crop_images")
    signature = (
        "x, top=None, left=None, bottom=None, right=None, target_height=None, target_width=None, data_format=None"
    )
    renames = {
        "images": "x",
        **{f"{side}_{kind}": side for kind in ("padding", "cropping") for side in ("top", "left", "bottom", "right")},
    }
    examples = (
        example("ops.image.pad_images(x, 1, 2, 3, 0)", x=(2, 4, 5, 3)),
        example(
            "ops.image.pad_images(x, top_padding=1, left_padding=2, target_height=8, target_width=9)", x=(2, 4, 5, 3)
        ),
        example("ops.image.crop_images(x, 1, 0, 1, 2)", x=(2, 4, 5, 3)),
        example("ops.image.crop_images(x, 1, 2, target_height=2, target_width=3)", x=(2, 4, 5, 3)),
        example(
            "ops.image.crop_images(x, bottom_cropping=1, right_cropping=2, target_height=2, target_width=3)",
            x=(2, 4, 5, 3),
        ),
        example("ops.image.pad_images(x, 1, 2, 3, 0, data_format='channels_first')", x=(2, 3, 4, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        height, width, channels = self.sizes(a)
        pads = leaf_of(path) == "pad_images"
        rows = self.parts(height, a.const("top"), a.const("bottom"), a.const("target_height"), pads)
        columns = self.parts(width, a.const("left"), a.const("right"), a.const("target_width"), pads)
        if pads:
            step = Step(fn=f"F.pad({{0}}, {code_of((*columns[:2], *rows[:2]))})")
        else:
            ranges = [f"{before or ''}:{before + size}" for before, _, size in (rows, columns)]
            step = Step(fn=f"{{0}}[..., {', '.join(ranges)}]")
        return self.result(a, rows[2], columns[2], channels, [step])

    def parts(self, size: Any, before: Any, after: Any, target: Any, pads: bool) -> tuple[int, int, int]:
        """The border before and after, and the size of the result."""
        given = [v for v in (before, after, target) if v is not None]
        if len(given) != 2 or any(type(v) is not int or v < 0 for v in (*given, size)):
            raise Declined("K2T103", "a border around images of open size is not translated")
        sign = 1 if pads else -1
        target = size + sign * (before + after) if target is None else target
        before = sign * (target - size) - after if before is None else before
        after = sign * (target - size) - before if after is None else after
        if min(before, after, target) < 0:
            raise Declined("K2T102", f"a border of {before} and {after} is not translated")
        return before, after, target


class Edges(Picture):
    """How steeply images rise downwards and to the right, by Sobel's kernels."""

    names = ("ops.image.sobel_edges", "tensorflow.image.sobel_edges")
    signature = "x, data_format=None"
    signatures = {"tensorflow.image": "x, data_format='channels_last'"}
    renames = {"images": "x", "image": "x"}
    examples = (
        example("ops.image.sobel_edges(x)", x=(2, 4, 5, 3)),
        example("ops.image.sobel_edges(x, data_format='channels_first')", x=(2, 3, 4, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = image(a)
        if not is_float(x.dtype):
            raise Declined("K2T103", f"edges of {x.dtype} are not translated")
        kernels = "{0}.new_tensor([[[-1, -2, -1], [0, 0, 0], [1, 2, 1]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]])"
        planes = "F.pad({0}, (1, 1, 1, 1), mode='reflect').flatten(0, 1).unsqueeze(1)"
        order = "0, 3, 4, 1, 2" if channels_last(a) else "0, 1, 3, 4, 2"
        text = f"F.conv2d({planes}, {kernels}.unsqueeze(1)).unflatten(0, {{0}}.shape[:2]).permute({order})"
        return Lowering([Step(fn=text)], [TensorType((*x.shape, 2), x.dtype)])


class Blur(Picture):
    """A blur by a bell."""

    names = ("ops.image.gaussian_blur",)
    signature = "x, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format=None"
    renames = {"images": "x"}
    examples = (
        example("ops.image.gaussian_blur(x)", x=(2, 6, 5, 3)),
        example("ops.image.gaussian_blur(x, (5, 5), (0.5, 2.0))", x=(2, 6, 7, 3)),
        example("ops.image.gaussian_blur(x, kernel_size=(4, 4), data_format='channels_first')", x=(2, 3, 6, 5)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, sizes, sigma = image(a), per_axis(a.const("kernel_size"), 2), per_axis(a.const("sigma"), 2)
        if not is_float(x.dtype) or sizes[0] != sizes[1] or any(type(s) not in (int, float) for s in sigma):
            raise Declined("K2T103", f"gaussian_blur({show(a.kernel_size)}) of {x.dtype} is not translated")
        text = f"gaussian_blur({{0}}, {sizes[0]}, sigma={code_of(sigma)})"
        return one(text, x.shape, x.dtype, x.type.layout, helpers=("gaussian_blur",))


class Alikeness(Picture):
    """How alike the structures of two images are."""

    names = ("ops.image.ssim",)
    signature = "x, y, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03, data_format=None"
    renames = {"image1": "x", "image2": "y"}
    inputs = ("x", "y")
    examples = (
        example("ops.image.ssim(x, y)", x=(2, 12, 13, 3), y=(2, 12, 13, 3)),
        example("ops.image.ssim(x, y, 2.0, 5, filter_sigma=1.0, k2=0.1)", x=(2, 6, 7, 3), y=(2, 6, 7, 3)),
        example(
            "ops.image.ssim(x, y, filter_size=3, data_format='channels_first')", x=(2, 3, 4, 5), y=(2, 3, 4, 5)
        ),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        x, y = image(a), tensor(a, "y")
        if y.rank != 4 or not is_float(x.dtype) or not is_float(y.dtype):
            raise Declined("K2T103", "ssim of these images is not translated")
        plain = {"largest": ("max_val", 1.0), "size": ("filter_size", 11), "sigma": ("filter_sigma", 1.5)}
        options = [f", {ours}={code_of(a.get(n))}" for ours, (n, default) in plain.items() if a.get(n) != default]
        options += [] if (a.k1, a.k2) == (0.01, 0.03) else [f", k={code_of((a.k1, a.k2))}"]
        return one(f"ssim({x}, {y}{''.join(options)})", (x.shape[0],), x.dtype, helpers=("ssim",))


class MapCoordinates(OpRule):
    """A tensor read at coordinates, between its elements too."""

    names = ("ops.image.map_coordinates",)
    signature = "x, coordinates, order, fill_mode='constant', fill_value=0"
    inputs = ("x", "coordinates")
    renames = {"inputs": "x"}
    examples = (
        *(
            example(f"ops.image.map_coordinates(x, 2.0 * c, {order}, fill_mode='{mode}')", x=(4, 5), c=(2, 9))
            for order in (0, 1)
            for mode in ("constant", "nearest", "wrap", "reflect")
        ),
        example("ops.image.map_coordinates(x, c, order=1, fill_value=0.5)", x=(4, 5), c=(2, 3, 4)),
        example("ops.image.map_coordinates(x, 1.0 + c, 1)", x=(3, 4, 5), c=(3, 7)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, places = tensor(a), tensor(a, "coordinates")
        order, mode = a.const("order"), a.const("fill_mode")
        if order not in (0, 1) or mode not in ("constant", "nearest", "wrap", "reflect"):
            raise Declined("K2T103", f"map_coordinates(order={show(order)}, fill_mode={show(mode)}) is not translated")
        if not is_float(x.dtype) or not is_float(places.dtype) or places.rank < 2:
            raise Declined("K2T103", "map_coordinates of these tensors is not translated")
        options = "" if mode == "constant" else f", mode='{mode}'"
        options += f", value={operand_text(float(a.fill_value))}" if a.fill_value and mode == "constant" else ""
        text = f"map_coordinates({x}, {places}, {order}{options})"
        return one(text, places.shape[1:], x.dtype, helpers=("map_coordinates",))


class Project(Picture):
    """Images seen from elsewhere: by eight numbers, or by where four points go."""

    names = ("ops.image.affine_transform", "ops.image.perspective_transform")
    signature = "x, transform, interpolation='bilinear', fill_mode='constant', fill_value=0, data_format=None"
    signatures = {
        "ops.image.perspective_transform": "x, start_points, end_points, interpolation='bilinear', fill_value=0, "
        "data_format=None"
    }
    renames = {"images": "x"}
    inputs = ("x", "transform", "start_points", "end_points")
    examples = (
        example(
            "ops.image.affine_transform(ops.stop_gradient(x), tf.constant([1.0, 0.2, 0.5, -0.1, 0.9, 1.0, 0.0, 0.0]))",
            x=(2, 6, 7, 3),
        ),
        *(
            example(
                f"ops.image.affine_transform(ops.stop_gradient(x), tf.constant([[1.5, 0.2, -2.5, -0.1, 1.9, -1.0, 0.01, 0.02]] * 2), {o})",
                x=(2, 6, 7, 3),
            )
            for o in ("fill_value=0.5", "fill_mode='reflect'", "fill_mode='nearest'")
        ),
        example(
            "ops.image.perspective_transform(ops.stop_gradient(x), [[0.0, 0.0], [6.0, 0.0], [0.0, 5.0], [6.0, 5.0]], "
            "[[0.5, 1.0], [5.0, 0.0], [0.0, 4.0], [6.0, 4.5]])",
            x=(2, 6, 7, 3),
        ),
    )

    def wants(self, path: str, a: Args) -> Any:
        return (super().wants(path, a), *(Layout.KERAS for _ in operands([a.get(n) for n in self.inputs[1:]])))

    def lower(self, path: str, a: Args) -> Lowering:
        x = image(a)
        fill = a.const("fill_mode") if "fill_mode" in a else "constant"
        if a.const("interpolation") != "bilinear" or fill not in FILLS or not is_float(x.dtype):
            raise Declined(
                "K2T103", f"{leaf_of(path)} to the nearest pixels or with fill_mode={show(fill)} is not translated"
            )
        helpers: tuple[str, ...] = ("project",)
        if "transform" in a:
            numbers = self.several(a, "transform", 1)
        else:
            points = ", ".join(self.several(a, n, 2) for n in ("start_points", "end_points"))
            numbers, helpers = f"homography({points})", ("homography", "project")
        options = "" if fill == "constant" else f", padding='{FILLS[fill]}'"
        options += f", value={operand_text(a.fill_value)}" if fill == "constant" and a.fill_value else ""
        return one(f"project({{0}}, {numbers}{options})", x.shape, x.dtype, x.type.layout, helpers=helpers)

    def several(self, a: Args, name: str, rank: int) -> str:
        """An argument for each image, or one for all."""
        value = tensor(a, name)
        if value.rank not in (rank, rank + 1) or not is_float(value.dtype):
            raise Declined("K2T103", f"{name} with {value.rank} axes is not translated")
        return str(value) if value.rank > rank else f"{value}[None]"


METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), False),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), True),
}
"""The interpolation of `scale_and_translate` → whether it is the cubic one."""


class ScaleAndMove(OpRule):
    """A tensor scaled and moved along axes, and read on a grid."""

    names = ("ops.image.scale_and_translate",)
    signature = "x, output_shape, scale, translation, spatial_dims, method, antialias=True"
    renames = {"images": "x"}
    inputs = ("x", "scale", "translation")
    examples = (
        *(
            example(
                f"ops.image.scale_and_translate(x, (2, 5, 9, 3), [0.75, 1.5], [0.5, -1.0], (1, 2), {method})",
                x=(2, 6, 7, 3),
            )
            for method in ("'linear'", "'cubic'", "'bilinear', antialias=False", "'bicubic', False")
        ),
        example("ops.image.scale_and_translate(x, (3, 5), [0.5], [1.0], [-1], 'trilinear')[:, 1:]", x=(3, 8)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x, scale, shift = (tensor(a, n) for n in self.inputs)
        axes, sizes = a.const("spatial_dims"), a.output_shape
        cubic = METHODS.get(a.const("method"))
        if cubic is None or not is_float(x.dtype) or scale.rank != 1 or shift.rank != 1:
            raise Declined("K2T103", f"scale_and_translate(method={show(a.method)}) of {x.dtype} is not translated")
        text, shape = str(x), list(x.shape)
        for i, axis in enumerate(axes):
            at = axis % x.rank
            if len(sizes) != x.rank or type(sizes[at]) is not int:
                raise Declined("K2T103", "scale_and_translate() to a size that is open is not translated")
            shape[at] = sizes[at]
            options = (
                f"{x}, {x}.shape[{at}], {shape[at]}, {scale}[{i}], {shift}[{i}], {cubic}, {bool(a.const('antialias'))}"
            )
            text = f"torch.tensordot({text}, scale_weights({options}), dims=([{at}], [0])).movedim(-1, {at})"
        return one(text, tuple(shape), x.dtype, helpers=("scale_weights",))
