"""Normalisation of a tensor by its own statistics."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Declined
from transpiler.ir.expr import code_of
from transpiler.ir.model import Args, Lowering, Step
from transpiler.ir.shape import TensorType
from transpiler.rules.base import show
from transpiler.rules.ops.base import Operand, OpRule, example, is_float, leaf_of, one, operand_text, tensor
from transpiler.rules.ops.reductions import reduced


class NormalizeByItself(OpRule):
    """`layer_normalization` and `rms_normalization`, over any axes."""

    batched = True
    names = tuple(f"ops.{h}{f}_normalization" for f in ("layer", "rms") for h in ("", "nn."))
    signature = "x, gamma=None, beta=None, axis=-1, epsilon=None, rms_scaling=False"
    signatures = {
        f"ops.{h}rms_normalization": "x, gamma=None, axis=-1, epsilon=None, beta=None, rms_scaling=False"
        for h in ("", "nn.")
    }
    renames = {"scale": "gamma"}
    inputs = ("x", "gamma", "beta")
    examples = (
        example("ops.layer_normalization(x)"),
        example("ops.layer_normalization(x, g, b, epsilon=0.1)", x=(2, 3, 4), g=(4,), b=(4,)),
        example("ops.layer_normalization(x, g[0], axis=(1, 2))", x=(2, 3, 4), g=(1, 3, 4)),
        example("ops.layer_normalization(x, g[0], b[0], axis=1)", x=(2, 3, 4), g=(1, 3), b=(1, 3)),
        example("ops.layer_normalization(x, axis=[1, -2])", x=(2, 3, 4, 5)),
        example("ops.rms_normalization(x)"),
        example("ops.rms_normalization(x, g[0], epsilon=0.1)", x=(2, 3, 4), g=(1, 4)),
        example("ops.rms_normalization(x, axis=1)"),
        example("ops.rms_normalization(x, g, axis=(1, 2))", x=(2, 3, 4), g=(2, 1, 4)),
    )

    def lower(self, path: str, a: Args) -> Lowering:
        x = tensor(a)
        if not is_float(x.dtype) or a.const("rms_scaling"):
            raise Declined("K2T103", f"{leaf_of(path)} of {x.dtype} or scaled by the variance alone is not translated")
        dims = sorted(reduced(x.type, a.const("axis"), True).dims)
        eps = "1e-7" if a.epsilon is None else operand_text(a.epsilon)
        gamma, beta = (v if isinstance(v, Operand) else None for v in (a.gamma, a.beta))
        last = tuple(x.shape[d] for d in dims)
        trailing = dims == list(range(x.rank - len(dims), x.rank)) and None not in last
        if trailing and all(v is None or v.rank == len(dims) for v in (gamma, beta)):
            function = "layer_norm" if leaf_of(path).startswith("layer") else "rms_norm"
            options = "".join(f", {n}={v}" for n, v in (("weight", gamma), ("bias", beta)) if v is not None)
            return one(f"F.{function}({{0}}, {code_of(last)}{options}, eps={eps})", x.shape, x.dtype)
        over = f"dim={dims[0] if len(dims) == 1 else tuple(dims)}, keepdim=True"
        if leaf_of(path).startswith("layer"):
            text = f"({{0}} - {{0}}.mean({over})) * torch.rsqrt({{0}}.var({over}, correction=0) + {eps})"
            parts = [self.widened(v, dims, x.rank) for v in (gamma, beta)]
        else:
            text = f"{{0}} * torch.rsqrt({{0}}.square().mean({over}) + {eps})"
            parts = [None if v is None else str(v) for v in (gamma, beta)]
        text += "".join(f" {sign} {part}" for sign, part in zip("*+", parts) if part is not None)
        return one(text, x.shape, x.dtype)

    def widened(self, v: Operand | None, dims: list[int], rank: int) -> str | None:
        """A factor or shift of the axes that are normalised, with axes of size one for the others."""
        if v is None or v.rank == rank:
            return None if v is None else str(v)
        if v.rank != len(dims):
            raise Declined("K2T103", f"{v.rank} axes for the {len(dims)} that are normalised are not translated")
        sizes: Any = [f"{v}.shape[{dims.index(d)}]" if d in dims else "1" for d in range(rank)]
        return f"{v}.view({', '.join(sizes)})"


class AttendByDots(OpRule):
    """`dot_product_attention` of heads: (batch, steps, heads, size)."""

    batched = True
    names = ("ops.dot_product_attention", "ops.nn.dot_product_attention")
    signature = (
        "query, key, value, bias=None, mask=None, scale=None, is_causal=False, flash_attention=None, "
        "attn_logits_soft_cap=None"
    )
    inputs = ("query", "key", "value", "bias", "mask")
    examples = (
        example("ops.dot_product_attention(q, k, v)", q=(2, 3, 2, 4), k=(2, 5, 2, 4), v=(2, 5, 2, 4)),
        example("ops.dot_product_attention(q, k, k, scale=0.25)", q=(2, 3, 2, 4), k=(2, 5, 2, 4)),
        example("ops.dot_product_attention(q, q, q, is_causal=True)", q=(2, 5, 2, 4)),
        example("ops.dot_product_attention(q, k, k, bias=b)", q=(2, 3, 2, 4), k=(2, 5, 2, 4), b=(2, 2, 3, 5)),
        example("ops.dot_product_attention(q, k, k, mask=m)", q=(2, 3, 2, 4), k=(2, 5, 2, 4), m=("bool", 2, 1, 3, 5)),
        example("ops.dot_product_attention(q, k, k, b, m)", q=(2, 3, 2, 4), k=(2, 5, 2, 4), b=(2, 2, 3, 5), m=("bool", 2, 1, 1, 5)),
        example("ops.dot_product_attention(q, q, q, mask=m, is_causal=True)", q=(2, 3, 2, 4), m=("bool", 2, 1, 3, 3)),
        example("ops.dot_product_attention(q, k, k)", q=(2, 3, 4, 4), k=(2, 5, 2, 4)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        xs = q, k, v = [tensor(a, n) for n in ("query", "key", "value")]
        if any(x.rank != 4 or not is_float(x.dtype) for x in xs) or a.flash_attention or a.attn_logits_soft_cap:
            raise Declined("K2T103", "attention of these tensors is not translated")
        heads, own = q.shape[2], k.shape[2]
        if heads != own and not (type(heads) is int and type(own) is int and own > 1 and heads % own == 0):
            raise Declined("K2T103", f"attention of {show(heads)} heads to {show(own)} is not translated")
        if a.mask is not None and tensor(a, "mask").dtype != "bool":
            raise Declined("K2T103", "a mask that is not of truths is not translated")
        shape = (*q.shape[:3], v.shape[3])
        turned = [f"{x}.transpose(1, 2)" for x in xs]
        causal = bool(a.const("is_causal"))
        if a.mask is None and not (causal and a.bias is not None):
            options = "" if a.bias is None else f", attn_mask={tensor(a, 'bias')}"
            options += ", is_causal=True" if causal else ""
            options += "" if a.scale is None else f", scale={operand_text(a.scale)}"
            options += "" if heads == own else ", enable_gqa=True"
            text = f"F.scaled_dot_product_attention({', '.join(turned)}{options}).transpose(1, 2)"
            return one(text, shape, q.dtype)
        if heads != own:
            raise Declined("K2T103", "masked attention of groups of heads is not translated")
        # Keras gives steps that see nothing the same share of all, where torch has NaN
        scale = f"{k}.shape[-1] ** -0.5" if a.scale is None else operand_text(a.scale)
        logits = f"{turned[0]} @ {k}.permute(0, 2, 3, 1) * {scale}"
        logits += "" if a.bias is None else f" + {tensor(a, 'bias')}"
        past = f"torch.ones({q}.shape[1], {k}.shape[1], dtype=torch.bool, device={q}.device).tril()"
        seen = [str(tensor(a, "mask"))] if a.mask is not None else []
        seen += [past] if causal else []
        text = f"F.softmax(torch.where({' & '.join(seen)}, {logits}, -2.372671e38), dim=-1) @ {turned[2]}"
        return one(f"({text}).transpose(1, 2)", shape, q.dtype)


class NormalizeBatch(OpRule):
    """`K.normalize_batch_in_training` of legacy Keras: a batch normalized by its statistics, and these."""

    names = ("backend.normalize_batch_in_training",)
    signature = "x, gamma, beta, reduction_axes, epsilon=1e-3"
    inputs = ("x", "gamma", "beta")
    examples = (
        example("K.normalize_batch_in_training(x, g, b, [0])[0]", x=(5, 4), g=(4,), b=(4,)),
        example("K.normalize_batch_in_training(x, None, b, [0, 1], 0.1)[0]", x=(5, 3, 4), b=(4,)),
        example("K.normalize_batch_in_training(x, g, b, (0, 2))[0]", x=(5, 3, 4), g=(3,), b=(3,)),
        example("sum(K.normalize_batch_in_training(x, None, None, [0, 1])[1:])", x=(5, 3, 4)),
        example("K.normalize_batch_in_training(tf.cast(x, 'float32'), None, None, [0, 1, 2], 1e-6)[0]", x=(5, 3, 2, 4)),
        example("sum(K.normalize_batch_in_training(tf.cast(x, 'float32'), None, None, [0, 1, 2])[1:])", x=(5, 3, 2, 4)),
    )  # fmt: skip

    def lower(self, path: str, a: Args) -> Lowering:
        x, axes, epsilon = tensor(a), list(a.const("reduction_axes")), a.const("epsilon")
        dims = sorted(k % x.rank for k in axes)
        kept = [i for i in range(x.rank) if i not in dims]
        if not is_float(x.dtype) or len(kept) != 1 or 0 in kept or x.rank == 4 and axes == [0, 2, 3]:
            raise Declined("K2T103", "statistics of a batch over these axes differ between TensorFlow's kernels")
        fused = x.rank == 4 and axes == [0, 1, 2]  # its kernel gives the unbiased variance, and has a least epsilon
        epsilon = max(epsilon, 1.001e-5) if fused else epsilon
        options = "".join(f", {n}={v}" for n, v in (("weight", a.gamma), ("bias", a.beta)) if isinstance(v, Operand))
        turned = "{0}" if kept == [1] else f"{{0}}.movedim({kept[0]}, 1)"
        normed = f"F.batch_norm({turned}, None, None{options}, training=True, eps={epsilon!r})"
        normed = normed if kept == [1] else f"{normed}.movedim(1, {kept[0]})"
        over = f"dim={dims[0] if len(dims) == 1 else tuple(dims)}"
        plain = "{0}.detach()" if fused else "{0}"  # that kernel hands no gradients on from its statistics
        text = f"({normed}, {plain}.mean({over}), {plain}.var({over}, correction={int(fused)}))"
        statistics = TensorType((x.shape[kept[0]],), x.dtype)
        types = [TensorType(x.shape, x.dtype), statistics, statistics]
        return Lowering([Step(fn=text)], types, ("{0}[0]", "{0}[1]", "{0}[2]"))
