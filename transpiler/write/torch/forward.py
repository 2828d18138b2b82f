"""`forward` of a class: its tensors as variables, named as in the source."""

from __future__ import annotations

import ast
from typing import Any

from transpiler.ir.expr import Sym, code_of
from transpiler.ir.liveness import all_uses, results_of
from transpiler.ir.naming import GLOBALS, Names, identifier, printed_length, singular
from transpiler.ir.program import (
    Apply,
    Block,
    Branch,
    ForLoop,
    Initial,
    Pick,
    Return,
    Static,
    Value,
)
from transpiler.ir.statics import names_in
from transpiler.ir.trees import nodes, variables_in
from transpiler.write.torch.pieces import VERSION, Lines, fill, fill_args, is_chain, negated, template_of, write_if

MAX_NESTED = 76
"""Longest expression that a further call is wrapped around."""


class ForwardWriter:
    """The part of the writer that writes `forward`."""

    def forward(self, block: Block, out: Lines) -> None:
        self.forward_ops(block.ops, out, {}, set())

    def forward_ops(self, ops: list[Any], out: Lines, holders: dict[str, Value], live_after: set[Value]) -> None:
        last_use = self.last_uses(ops, live_after)
        for index, op in enumerate(ops):
            if isinstance(op, Apply):
                self.forward_apply(ops, index, op, out, holders, last_use)
            elif isinstance(op, Branch) and (op.phis or op.by_mode):
                self.forward_branch(op, index, out, holders, last_use)
            elif isinstance(op, ForLoop):
                self.forward_loop(op, index, out, holders, last_use)
            elif isinstance(op, Return):
                out.add(*(f"self.{name} = {self.structure(x)}" for name, x in op.kept.items()))
                out.add(f"return {self.structure(op.value)}")

    def forward_branch(
        self, op: Branch, index: int, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        live = {v for v, last in last_use.items() if last > index}
        for result, *ends in op.phis:
            for end, side in zip(ends, (op.then, op.otherwise)):
                if self.counts[end] == 1 and any(end in results_of(o) for o in side.ops):
                    end.hint = result.hint
        before = dict(holders)
        names = {r: self.variable(r, index, holders, last_use) for r, _, _ in op.phis}
        sides: list[Lines] = []
        for block, position in ((op.then, 1), (op.otherwise, 2)):
            lines = Lines([], out.level + 1)
            for o in block.ops if op.by_mode else ():
                if isinstance(o, Static):
                    lines.add(*ast.unparse(o.statement).splitlines())
            self.forward_ops(block.ops, lines, dict(before), live | {phi[position] for phi in op.phis})
            moves = [(names[phi[0]], ast.unparse(self.variables[phi[position]])) for phi in op.phis]
            moves = [(n, v) for n, v in moves if n != v]
            if len(moves) == 1:
                lines.add(f"{moves[0][0]} = {moves[0][1]}")
            elif moves:
                lines.add(f"{', '.join(n for n, _ in moves)} = {', '.join(v for _, v in moves)}")
            sides.append(lines)
        test = Sym(fill(op.test.code, **self.stored_names(op.test.code))) if op.by_mode else op.test
        flag = test.code if op.by_mode else f"self.{self.flags.names[op]}"
        opposite = negated(test) if op.by_mode else f"not {flag}"
        then, otherwise = (side.lines for side in sides)
        if op in self.flags.denied:
            if then and otherwise and is_chain(otherwise, out.level + 1):
                flag, opposite = opposite, flag
            else:
                then, otherwise = otherwise, then
        write_if(out, flag, opposite, then, otherwise)
        for r, n in names.items():
            self.variables[r] = ast.Name(n, ast.Load())

    def forward_loop(
        self, op: ForLoop, index: int, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        own = f"self.{self.attributes[op.member]}"
        if op.sequential:
            initial, _, _, result = op.carried[0]
            text = f"{own}({ast.unparse(self.variables[initial])})"
            name = self.variable(result, index, holders, last_use)
            out.add(f"{name} = {text}")
            self.variables[result] = ast.Name(name, ast.Load())
            return
        names: dict[Value, str] = {}
        """The tensors that an iteration reads → variables."""
        ends: dict[Value, list[str]] = {}
        """The tensors that it computes → the variables that hold them after it."""
        for initial, start, end, result in op.carried:
            names[start] = self.variable(result, index, holders, last_use)
            ends.setdefault(end, []).append(names[start])
            current = ast.unparse(self.variables[initial])
            if current != names[start]:
                out.add(f"{names[start]} = {current}")
            self.variables[result] = ast.Name(names[start], ast.Load())
        begun = [self.initial_text(initial, index, last_use) for _, _, initial in op.gathered]
        lists = [(self.variable(series, index, holders, last_use), item) for series, item, _ in op.gathered]
        for (series, _, _), (name, _) in zip(op.gathered, lists):
            self.variables[series] = ast.Name(name, ast.Load())
        inner = Names(GLOBALS | frozenset(holders))
        block = inner.take("block")
        for _, item, _ in op.zipped:
            names[item] = inner.take(identifier(item.hint))
        call_op = next(o for o in op.body.ops if isinstance(o, Apply))
        for_target = self.loop_variables(op, inner)
        for pick in op.picked:
            names[pick.results[0]] = self.picked_text(pick, for_target)
        args = [names[v] for v in call_op.args if v in names] + [ast.unparse(self.variables[v]) for v in op.extra]
        call = f"{block}({', '.join(args)})"
        head = self.loop_head(op, block, names, for_target)
        if not op.carried and len(lists) == 1 and call_op.results == [lists[0][1]] and begun == ["[]"]:
            out.add(f"{lists[0][0]} = [{call} {head}]")
            return
        out.add(*(f"{name} = {text}" for (name, _), text in zip(lists, begun) if text != name), f"{head}:")
        out.add(*(f"    {name}.append({names[item]})" for name, item in lists if item in names))
        hints = {item: singular(name) for name, item in reversed(lists)}
        computed = {r: ends.get(r) or [inner.take(hints.get(r, "rest"))] for r in call_op.results}
        if len(computed) == 1:
            out.add(f"    {' = '.join([*next(iter(computed.values())), call])}")
        else:
            out.add(f"    {', '.join(held[0] for held in computed.values())} = {call}")
            out.add(*(f"    {' = '.join([*held[1:], held[0]])}" for held in computed.values() if len(held) > 1))
        out.add(*(f"    {name}.append({computed[item][0]})" for name, item in lists if item in computed))

    def initial_text(self, initial: Initial, index: int, last_use: dict[Value, int]) -> str:
        """What a list begins as before a loop appends to it: its own, unless nothing else reads that any more."""
        if isinstance(initial, list):
            return f"[{', '.join(ast.unparse(self.variables[x]) for x in initial)}]"
        text = ast.unparse(self.variables[initial])
        return f"list({text})" if last_use.get(initial, -1) > index else text

    def loop_variables(self, op: ForLoop, names: Names) -> dict[str, str]:
        """The variables of the source's loop that `forward` needs for an index → their names there."""
        read = {n for pick in op.picked for n in names_in(pick.index)}
        return {n: names.take(VERSION.sub(r"\1", n)) for n in sorted(variables_in(op.target)) if n in read}

    def picked_text(self, pick: Pick, variables: dict[str, str]) -> str:
        own = {f"p{n}": ast.Name(v, ast.Load()) for n, v in variables.items()}
        template = pick.step.fn or ""
        return ast.unparse(fill(template, p0=self.variables[pick.args[0]], **self.stored_names(template), **own))

    def loop_head(self, op: ForLoop, block: str, names: dict[Value, str], variables: dict[str, str]) -> str:
        """`for` over the submodules of a loop, and over the lists of tensors that it reads beside them."""
        own = f"self.{self.attributes[op.member]}"
        over = code_of(op.iterable)
        sources = [(ast.unparse(self.variables[series]), backwards) for series, _, backwards in op.zipped]
        texts = [own, *(f"reversed({text})" if backwards else text for text, backwards in sources)]
        items = [block, *(names[item] for _, item, _ in op.zipped)]
        if variables and not op.zipped and over.startswith("range(") and "," not in over:
            return f"for {', '.join([*variables.values(), *items])} in enumerate({own})"
        if variables:
            given = {f"p{n}": ast.Name(v, ast.Load()) for n, v in variables.items()}
            items.insert(0, ast.unparse(fill(ast.unparse(op.target), **given)))
            texts.insert(0, ast.unparse(fill(over, **self.stored_names(over))))
        if len(texts) == 1:
            return f"for {block} in {own}"
        strict = ["strict=True"] if not over.startswith("zip(") or over.endswith(", strict=True)") else []
        return f"for {', '.join(items)} in zip({', '.join([*texts, *strict])})"

    def last_uses(self, ops: list[Any], live_after: set[Value]) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for index, op in enumerate(ops):
            for v in all_uses(op):
                last[v] = index
        for v in live_after:
            last[v] = len(ops)
        return last

    def forward_apply(
        self, ops: list[Any], index: int, op: Apply, out: Lines, holders: dict[str, Value], last_use: dict[Value, int]
    ) -> None:
        expression = self.expression(op)
        if op.step.fn == "{self}" or self.inlines(ops, index, op, expression):  # a parameter is named, not computed
            self.variables[op.results[0]] = expression
            return
        if len(op.results) == 1 and not op.outputs:
            name = self.variable(op.results[0], index, holders, last_use)
            text = ast.unparse(expression)
            self.comment(op, out)
            if text != name:
                out.add(f"{name} = {text}" + (f"  # {op.step.comment}" if op.step.comment else ""))
            self.variables[op.results[0]] = ast.Name(name, ast.Load())
            return
        self.forward_several(op, expression, index, out, holders, last_use)

    def comment(self, op: Apply, out: Lines) -> None:
        out.add(*op.comments)

    def forward_several(
        self,
        op: Apply,
        expression: ast.expr,
        index: int,
        out: Lines,
        holders: dict[str, Value],
        last_use: dict[Value, int],
    ) -> None:
        used = [r for r in op.results if self.counts[r]]
        outputs = op.outputs or tuple(f"{{0}}[{i}]" for i in range(len(op.results)))
        if len(used) == 1:
            name = self.variable(used[0], index, holders, last_use)
            taken = self.taken(outputs[op.results.index(used[0])], expression)
            out.add(f"{name} = {ast.unparse(taken)}")
            self.variables[used[0]] = ast.Name(name, ast.Load())
            return
        if sorted(outputs) == sorted(f"{{0}}[{i}]" for i in range(len(op.results))):
            results = [op.results[outputs.index(f"{{0}}[{i}]")] for i in range(len(outputs))]
            names = [self.variable(r, index, holders, last_use) if r in used else "_" for r in results]
            out.add(f"{', '.join(names)} = {ast.unparse(expression)}")
            self.variables |= {r: ast.Name(n, ast.Load()) for r, n in zip(results, names)}
            return
        temporary = Names(GLOBALS | frozenset(holders)).take("out")
        names = [self.variable(r, index, holders, last_use) for r in used]
        if isinstance(expression, ast.Name) and expression.id not in names[:-1]:
            temporary = expression.id
        else:
            out.add(f"{temporary} = {ast.unparse(expression)}")
        for r, name in zip(used, names):
            value = self.taken(outputs[op.results.index(r)], ast.Name(temporary, ast.Load()))
            out.add(f"{name} = {ast.unparse(value)}")
            self.variables[r] = ast.Name(name, ast.Load())

    def variable(self, value: Value, index: int, holders: dict[str, Value], last_use: dict[Value, int]) -> str:
        """A variable for `value`: the name it had in the source, unless that still holds a tensor that is read later."""
        base = identifier(value.hint)
        base = f"{base}_" if base in GLOBALS else base
        candidate, i = base, 1
        while candidate in holders and last_use.get(holders[candidate], -1) > index:
            i += 1
            candidate = f"{base}{i}" if not base[-1].isdigit() else f"{base}_{i}"
        holders[candidate] = value
        return candidate

    def expression(self, op: Apply) -> ast.expr:
        args = [self.variables[a] for a in op.args]
        step = op.step
        if op.member is not None and op.member in self.attributes:
            own = ast.Attribute(ast.Name("self", ast.Load()), self.attributes[op.member], ast.Load())
            if step.fn is not None and "{self}" in step.fn:
                return fill(step.fn, self=own, **{f"p{i}": a for i, a in enumerate(args)})
            called = ast.Call(own, args, [])
            return fill_args(step.result, [called]) if step.result else called
        self.need(op)
        if step.fn is None:
            raise AssertionError(f"{step} has no function form")
        return fill(step.fn, **{f"p{i}": a for i, a in enumerate(args)}, **self.stored_names(step.fn))

    def taken(self, template: str, whole: ast.expr) -> ast.expr:
        """One result of an operation that gives several."""
        return fill(template, p0=whole, **self.stored_names(template))

    def stored_names(self, template: str) -> dict[str, ast.expr]:
        """Static names in an expression of `forward`: the constructor keeps them as attributes."""
        found: dict[str, ast.expr] = {}
        for node in nodes(template_of(template)):
            if isinstance(node, ast.Name) and (node.id in self.static_names):
                if node.id not in self.stored:
                    self.stored[node.id] = self.attribute_names.take(VERSION.sub(r"\1", node.id))
                found[f"p{node.id}"] = ast.Attribute(ast.Name("self", ast.Load()), self.stored[node.id], ast.Load())
        return found

    def inlines(self, ops: list[Any], index: int, op: Apply, expression: ast.expr) -> bool:
        """Whether the result is written into the one expression that uses it, in the next operation."""
        if (
            len(op.results) != 1
            or op.outputs
            or self.counts[op.results[0]] != 1
            or index + 1 >= len(ops)
            or op.comments
        ):
            return False
        if op.step.comment:
            return False
        value, following = op.results[0], ops[index + 1]
        if isinstance(following, Return):
            last = [*following.kept.values(), following.value][0]
            return printed_length(ast.unparse(expression)) < MAX_NESTED and last is value
        if not isinstance(following, Apply) or value not in following.args or following.outputs:
            return False
        if following.step.comment:
            return False
        if len(following.args) > 1 and any(
            isinstance(self.variables.get(a), ast.Call) for a in following.args if a is not value
        ):
            return False
        return (
            printed_length(ast.unparse(expression))
            + printed_length(self.attributes.get(following.member, following.step.fn or ""))
            < MAX_NESTED
        )

    def structure(self, value: Any) -> str:
        if isinstance(value, Value):
            return ast.unparse(self.variables[value])
        if isinstance(value, (list, tuple)):
            items = [self.structure(v) for v in value]
            return items[0] if len(items) == 1 else ", ".join(items)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k!r}: {self.structure(v)}" for k, v in value.items()) + "}"
        return code_of(value)
