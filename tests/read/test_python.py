"""The evaluator keeps Python's semantics: each snippet gives the value that running it gives."""

from __future__ import annotations

import itertools
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest

from transpiler.diagnostics import Declined, Findings
from transpiler.ir.model import KERAS3
from transpiler.read.keras.evaluate import statements as engine
from transpiler.read.keras.evaluate.values import Unknown
from transpiler.read.keras.program import Program

SNIPPETS = {
    # functions
    "defaults": "def f(a, b=2, *, c=3): return (a, b, c)\nr = [f(1), f(1, c=5), f(1, 4), f(b=7, a=0)]",
    "default made once": "def f(x, seen=[]):\n    seen.append(x)\n    return list(seen)\nr = [f(1), f(2), f(3, [])]",
    "default sees the time of definition": "n = 1\ndef f(a=n): return a\nn = 2\nr = f()",
    "star args": "def f(a, *rest, **named): return (a, rest, named)\nr = [f(1), f(1, 2, 3, k=4), f(*[1, 2], **{'z': 0})]",
    "star args twice": "def f(*a, **k): return (a, k)\nr = f(*[1], 2, *(3, 4), x=1, **{'y': 2}, **{'z': 3})",
    "positional only": "def f(a, /, b, *, c): return (a, b, c)\nr = f(1, 2, c=3)",
    "missing argument": "def f(a, b): return a\ntry:\n    r = f(1)\nexcept TypeError:\n    r = 'TypeError'",
    "unexpected argument": "def f(a): return a\ntry:\n    r = f(1, b=2)\nexcept TypeError:\n    r = 'TypeError'",
    "too many arguments": "def f(a): return a\ntry:\n    r = f(1, 2)\nexcept TypeError:\n    r = 'TypeError'",
    "argument twice": "def f(a): return a\ntry:\n    r = f(1, a=2)\nexcept TypeError:\n    r = 'TypeError'",
    "recursion": "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nr = [fib(i) for i in range(10)]",
    "mutual recursion": "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\nr = [even(4), odd(4)]",
    "no return": "def f(): pass\nr = f()",
    "closure": "def add(n):\n    def inner(x): return x + n\n    return inner\nr = [add(2)(3), add(10)(1)]",
    "closures share a variable": "fs = [lambda: i for i in range(3)]\nr = [f() for f in fs]",
    "closures with defaults": "fs = [lambda i=i: i for i in range(3)]\nr = [f() for f in fs]",
    "nonlocal": "def counter():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n        return n\n    return step\nc = counter()\nr = [c(), c(), counter()()]",
    "global": "n = 0\ndef step():\n    global n\n    n += 2\nstep()\nstep()\nr = n",
    "local hides global": "n = 1\ndef f():\n    n = 5\n    return n\nr = (f(), n)",
    "lambda": "r = (lambda a, *b, c=3, **d: (a, b, c, d))(1, 2, c=4, e=5)",
    "decorator": "def twice(f):\n    def inner(*a, **k): return f(*a, **k) * 2\n    return inner\n@twice\ndef g(x): return x + 1\nr = g(4)",
    "decorator with arguments": "def times(n):\n    def wrap(f):\n        return lambda *a: f(*a) * n\n    return wrap\n@times(3)\n@times(2)\ndef g(x): return x\nr = g(5)",
    "function attributes": "def f(): return f.calls\nf.calls = 3\nr = (f(), f.__name__)",
    "annotations are no code": "def f(a: 'int', b: list = None) -> 'tuple': return (a, b)\nx: int = 4\ny: str\nr = (f(1), x)",
    # control flow
    "while": "n, r = 10, []\nwhile n > 0:\n    n -= 3\n    r.append(n)",
    "while else": "n = 3\nwhile n:\n    n -= 1\nelse:\n    r = ('done', n)",
    "while break else": "n = 3\nr = 0\nwhile True:\n    n -= 1\n    if n == 1: break\nelse:\n    r = 'never'\nr = (r, n)",
    "for else": "for i in [1, 2]:\n    if i == 5: break\nelse:\n    r = 'else'",
    "for break": "r = []\nfor i in range(10):\n    if i % 2: continue\n    if i > 6: break\n    r.append(i)\nelse:\n    r.append('else')\nr.append(i)",
    "nested break": "r = []\nfor i in range(3):\n    for j in range(3):\n        if j == i: break\n        r.append((i, j))",
    "return in a loop": "def first(xs):\n    for x in xs:\n        if x > 2: return x\n    return None\nr = [first([1, 2, 3, 4]), first([])]",
    "loop variable stays": "for i, (a, *b) in enumerate([(1, 2, 3), (4, 5)]): pass\nr = (i, a, b)",
    "elif": "def f(x):\n    if x < 0: return 'neg'\n    elif x == 0: return 'zero'\n    elif x < 10: return 'small'\n    else: return 'big'\nr = [f(x) for x in (-1, 0, 5, 50)]",
    "conditional expression": "r = [('a' if x else 'b') for x in (0, 1, '', 'x', [], None)]",
    "short circuit": "r = [0 or 'x', 1 and 'y', None and 1 / 0, 2 or 1 / 0, not [] and 5]",
    "chained comparison": "calls = []\ndef f(x):\n    calls.append(x)\n    return x\nr = (1 < f(2) < 3, 1 > f(5) > f(9), calls)",
    "is and in": "x = None\nr = (x is None, x is not None, 2 in [1, 2], 'b' not in 'abc', 'k' in {'k': 1})",
    "unpacking": "a, b = b0, (c, d) = 1, (2, 3)\nr = (a, b, b0, c, d)",
    "star unpacking": "a, *b, c = range(6)\n*d, e = 'xyz'\n[f, *g] = (1,)\nr = (a, b, c, d, e, f, g)",
    "star in displays": "xs = [1, 2]\nr = ([*xs, 3, *(4,)], (*xs,), {*xs, 9}, {**{'a': 1}, 'b': 2, **{'a': 3}})",
    "swap": "a, b = 1, 2\na, b = b, a\nr = (a, b)",
    "walrus": "r = [y for x in range(5) if (y := x * 2) > 3]\nif (n := len(r)) > 1: r.append(n)",
    "augmented": "a = [1]\nb = a\na += [2]\na *= 2\nx = 7\nx //= 2\nx **= 3\nx -= 1\nx |= 1\nx <<= 2\nr = (a, b, a is b, x)",
    "augmented item": "d = {'a': [1]}\nd['a'] += [2]\nd['n'] = 1\nd['n'] += 4\nr = d",
    "augmented tuple is new": "a = (1,)\nb = a\na += (2,)\nr = (a, b)",
    "del": "a = [1, 2, 3, 4]\ndel a[1]\nd = {'x': 1, 'y': 2}\ndel d['x']\nx = 1\ndel x\nr = (a, d, 'x' in globals())",
    "del slice": "a = [1, 2, 3, 4]\ndel a[1:3]\nr = a",
    "assert": "try:\n    assert 1 == 2, 'no'\nexcept AssertionError as e:\n    r = str(e)",
    "assert holds": "assert 1 == 1\nr = 1",
    # exceptions
    "try else finally": "r = []\ntry:\n    r.append(1)\nexcept ValueError:\n    r.append('never')\nelse:\n    r.append(2)\nfinally:\n    r.append(3)",
    "except finally": "r = []\ntry:\n    int('x')\n    r.append('never')\nexcept (TypeError, ValueError) as error:\n    r.append(type(error).__name__)\nfinally:\n    r.append('end')",
    "finally runs on return": "r = []\ndef f():\n    try:\n        return 1\n    finally:\n        r.append('f')\nr.append(f())",
    "finally runs on an error": "r = []\ntry:\n    try:\n        raise KeyError('k')\n    finally:\n        r.append('inner')\nexcept KeyError as e:\n    r.append(e.args)",
    "re-raise": "r = []\ndef f():\n    try:\n        raise ValueError('x')\n    except ValueError:\n        r.append(1)\n        raise\ntry:\n    f()\nexcept ValueError as e:\n    r.append(str(e))",
    "raise from": "try:\n    try:\n        {}['a']\n    except KeyError as e:\n        raise ValueError('b') from e\nexcept ValueError as e:\n    r = str(e)",
    "base class catches": "try:\n    [][3]\nexcept LookupError:\n    r = 'lookup'",
    "bare except": "try:\n    1 / 0\nexcept:\n    r = 'any'",
    "not caught here": "def f():\n    try:\n        1 / 0\n    except ValueError:\n        return 'wrong'\ntry:\n    f()\nexcept ZeroDivisionError:\n    r = 'outer'",
    "own exception": "class Bad(ValueError):\n    def __init__(self, n):\n        super().__init__(f'bad {n}')\n        self.n = n\ntry:\n    raise Bad(3)\nexcept ValueError as e:\n    r = e.n",
    "attribute error": "class A: pass\ntry:\n    A().x\nexcept AttributeError:\n    r = 'missing'",
    "name error": "try:\n    nothing\nexcept NameError:\n    r = 'unbound'",
    "break out of try": "r = []\nfor i in range(3):\n    try:\n        if i == 1: break\n    finally:\n        r.append(i)",
    "continue in try": "r = []\nfor i in range(3):\n    try:\n        if i == 1: continue\n        r.append(i)\n    except ValueError:\n        pass",
    "with": "class C:\n    def __init__(self): self.log = []\n    def __enter__(self):\n        self.log.append('in')\n        return self.log\n    def __exit__(self, *a):\n        self.log.append('out')\nc = C()\nwith c as log:\n    log.append('body')\nr = c.log",
    "with nullcontext": "import contextlib\nwith contextlib.nullcontext(3) as x:\n    r = x",
    # comprehensions
    "list comprehension": "r = [x * y for x in range(3) for y in range(x) if y != 1]",
    "nested comprehension": "r = [[i * j for j in range(3)] for i in range(3)]",
    "dict comprehension": "r = {k: v for k, v in zip('abc', range(3)) if v}",
    "set comprehension": "r = {x % 3 for x in range(10)}",
    "generator expression": "r = (sum(x * x for x in range(4)), max(len(w) for w in ['a', 'bcd']), any(x > 2 for x in [1, 3]), all([]))",
    "comprehension scope": "x = 'outer'\nr = ([x for x in range(3)], x)",
    # sequences
    "slices": "a = list(range(10))\nr = (a[2:5], a[::-1], a[-3:], a[:-7], a[1:8:3], 'hello'[1:3], (1, 2, 3)[::2], a[slice(2, 4)])",
    "slice assignment": "a = [1, 2, 3, 4]\na[1:3] = [9]\na[-1] = 0\nr = a",
    "list methods": "a = [3, 1]\na.append(2)\na.extend([5, 4])\na.insert(0, 9)\na.remove(1)\np = a.pop()\nq = a.pop(0)\na.sort()\na.reverse()\nr = (a, p, q, a.index(3), a.count(2), a.copy())",
    "sort with key": "a = [('b', 2), ('a', 3)]\na.sort(key=lambda t: t[1], reverse=True)\nr = (a, sorted(['bb', 'a'], key=len), sorted({3, 1, 2}, reverse=True))",
    "list arithmetic": "r = ([1] + [2, 3], [0] * 3, (1,) * 2 + (5,), [[0] * 2 for _ in range(2)], [1, 2] == [1, 2], [1, 2] < [1, 3])",
    "aliasing": "a = []\nb = [a] * 2\na.append(1)\nr = b",
    "enumerate zip reversed": "r = (list(enumerate('ab', 1)), list(zip([1, 2, 3], 'ab')), list(reversed([1, 2])), [i for i in reversed(range(3))], list(zip(*[(1, 2), (3, 4)])))",
    "range": "r = (list(range(3)), list(range(5, 0, -2)), len(range(0, 10, 3)), range(5)[-1], 3 in range(5))",
    "iter and next": "it = iter([1, 2])\nr = (next(it), next(it), next(it, 'end'))",
    "map and filter": "r = (list(map(lambda x: x + 1, [1, 2])), list(filter(None, [0, 1, 2])), list(map(str, range(2))), list(map(lambda a, b: a * b, [1, 2], [3, 4])))",
    "min max sum": "r = (min(3, 1), max([1, 5]), max('a', 'bb', key=len), sum([[1], [2]], []), round(2.567, 1), abs(-3), divmod(7, 2), pow(2, 5), min([], default=0))",
    "tuple methods": "r = ((1, 2, 1).count(1), (1, 2).index(2), tuple([1, 2]), (1,))",
    # dicts and sets
    "dict methods": "d = {'a': 1}\nd.update(b=2)\nd.update({'c': 3})\nd.setdefault('e', []).append(1)\nr = (d.get('x'), d.get('x', 0), list(d.items()), list(d.keys()), list(d.values()), d.pop('a'), d.pop('zz', None), len(d), dict(d))",
    "dict merging": "a, b = {'x': 1, 'y': 2}, {'y': 3}\nr = ({**a, **b}, a | b, dict(a, z=4), dict([('k', 1)]), dict(zip('ab', (1, 2))))",
    "dict iteration": "d = {'b': 1, 'a': 2}\nr = ([k for k in d], [k + str(v) for k, v in d.items()], sorted(d), 'a' in d, list(d))",
    "dict fromkeys": "r = dict.fromkeys(['a', 'b'], 0)",
    "dict of functions": "ops = {'add': lambda a, b: a + b, 'mul': lambda a, b: a * b}\nr = [ops[k](3, 4) for k in ops]",
    "key error": "try:\n    {'a': 1}['b']\nexcept KeyError as e:\n    r = e.args[0]",
    "set methods": "a, b = {1, 2}, {2, 3}\na.add(4)\nr = (a | b, a & b, a - b, a ^ b, sorted(a.union(b)), b <= {2, 3, 5}, set(), frozenset([1]))",
    "defaultdict": "from collections import defaultdict, OrderedDict, namedtuple\nd = defaultdict(list)\nd['a'].append(1)\nP = namedtuple('P', 'x y')\np = P(1, y=2)\nr = (dict(d), list(OrderedDict(a=1)), p.x, p.y, tuple(p))",
    # strings
    "f-string": "n, x, w = 3, 2.5, 6\nr = [f'conv{n}', f'{x:.2f}', f'{n:03d}', f'{n!r}-{\"a\"!r}', f'{x:>{w}}', f'{{}}{n + 1}', f'{n=}']",
    "percent": "r = ['conv%d' % 3, '%s_%02d' % ('a', 4), '%.1f%%' % 2.55, '%(k)s' % {'k': 'v'}, '%s' % (1,), '%r' % 'x']",
    "format": "r = ['{}_{}'.format('a', 1), '{1}{0}'.format('a', 'b'), '{n:>4}'.format(n=5), '{:.1e}'.format(1234.5), format(3, '02d')]",
    "str methods": "s = 'Conv_Block-1'\nr = [s.lower(), s.upper(), s.split('_'), s.replace('o', '0'), s.startswith('Conv'), s.endswith(('1', '2')), '-'.join(['a', 'b']), ' x '.strip(), s.find('B'), 'a,b'.partition(','), 'x'.zfill(3), '12'.isdigit(), s.rsplit('-', 1), 'ab'.capitalize(), 'a b'.title(), s.removeprefix('Conv_')]",
    "str conversions": "r = [str(1), str(1.5), repr('a'), int('7'), float('2.5'), bool(''), str(None), str([1, 'a']), chr(97), ord('a'), int(3.9), int('ff', 16), bin(5)]",
    "string arithmetic": "r = ['a' + 'b', 'ab' * 2, 'a' 'b', 'a' < 'b', 'b' in 'abc', 'abc'[-1], len('abc')]",
    # numbers
    "arithmetic": "r = [7 / 2, 7 // 2, -7 // 2, 7 % 3, -7 % 3, 2 ** 10, 2 ** -1, 1e3, 0x1F, 5 & 3, 5 | 3, 5 ^ 3, ~5, 1 << 4, True + 1, 3 == 3.0, 10 / 5]",
    "math": "import math\nr = [math.sqrt(16), math.ceil(2.1), math.floor(-2.1), math.log2(8), math.log(math.e), math.pi, math.prod([2, 3]), math.gcd(12, 18), math.inf > 1, math.isclose(0.1 + 0.2, 0.3)]",
    "operator": "import operator\nfrom operator import itemgetter, mul\nr = [operator.add(1, 2), mul(3, 4), itemgetter(1)([5, 6]), sorted({'a': 2, 'b': 1}.items(), key=operator.itemgetter(1))]",
    "itertools": "import itertools\nfrom itertools import chain, product\nr = [list(chain([1], [2])), list(product([1, 2], 'ab')), list(itertools.accumulate([1, 2, 3])), list(itertools.islice(itertools.count(5), 3)), list(zip(itertools.cycle('ab'), range(3))), list(itertools.repeat(1, 2)), list(chain.from_iterable([[1], [2]])), list(itertools.zip_longest([1], [2, 3]))]",
    "functools": "import functools\nfrom functools import partial, reduce\ndef f(a, b, c=0): return (a, b, c)\nr = [reduce(lambda a, b: a + b, [1, 2, 3], 10), partial(f, 1, c=5)(2), partial(partial(f, 1), 2)(c=3), reduce(lambda f, g: (lambda x: g(f(x))), [lambda x: x + 1, lambda x: x * 2])(3)]",
    "wraps": "import functools\ndef deco(f):\n    @functools.wraps(f)\n    def inner(*a, **k): return ('in', f(*a, **k))\n    return inner\n@deco\ndef g(x): return x\nr = (g(1), g.__name__)",
    "lru_cache": "import functools\n@functools.lru_cache(maxsize=None)\ndef f(x): return x * 2\nr = f(4)",
    # classes
    "class": "class A:\n    k = 3\n    def __init__(self, n): self.n = n\n    def total(self, m=1): return self.n * self.k + m\na = A(5)\nr = (a.n, a.k, A.k, a.total(), a.total(m=2), A.total(a))",
    "class attribute and instance attribute": "class A:\n    xs = []\n    n = 0\na, b = A(), A()\na.xs.append(1)\na.n = 5\nr = (b.xs, b.n, a.n, A.n)",
    "inheritance": "class A:\n    def f(self): return 'A.f ' + self.g()\n    def g(self): return 'A.g'\nclass B(A):\n    def g(self): return 'B.g'\nr = (B().f(), A().f())",
    "super": "class A:\n    def __init__(self, n): self.n = n\n    def f(self): return ['A']\nclass B(A):\n    def __init__(self, n, m):\n        super().__init__(n)\n        self.m = m\n    def f(self): return ['B'] + super().f()\nclass C(B):\n    def f(self): return ['C'] + super(C, self).f()\nc = C(1, 2)\nr = (c.n, c.m, c.f())",
    "diamond": "class A:\n    def f(self): return ['A']\nclass B(A):\n    def f(self): return ['B'] + super().f()\nclass C(A):\n    def f(self): return ['C'] + super().f()\nclass D(B, C):\n    def f(self): return ['D'] + super().f()\nr = (D().f(),)",
    "property": "class A:\n    def __init__(self): self._x = 1\n    @property\n    def x(self): return self._x * 2\n    @x.setter\n    def x(self, v): self._x = v\na = A()\nb = a.x\na.x = 10\nr = (b, a.x, a._x)",
    "classmethod and staticmethod": "class A:\n    n = 2\n    @classmethod\n    def make(cls, x):\n        a = cls()\n        a.v = x * cls.n\n        return a\n    @staticmethod\n    def add(a, b): return a + b\nclass B(A):\n    n = 5\nr = (A.make(1).v, B.make(1).v, type(B.make(0)) is B, A.add(1, 2), A().add(3, 4))",
    "call": "class Add:\n    def __init__(self, n): self.n = n\n    def __call__(self, x): return x + self.n\nr = [Add(3)(4), list(map(Add(1), [1, 2])), callable(Add(1))]",
    "getitem and len": "class A:\n    def __init__(self): self.items = [1, 2, 3]\n    def __getitem__(self, i): return self.items[i]\n    def __len__(self): return len(self.items)\na = A()\nr = (a[0], a[-1], a[1:], len(a), [x for x in a], bool(a))",
    "setitem and contains": "class A:\n    def __init__(self): self.d = {}\n    def __setitem__(self, k, v): self.d[k] = v\n    def __contains__(self, k): return k in self.d\na = A()\na['x'] = 1\nr = (a.d, 'x' in a, 'y' in a)",
    "iter": "class A:\n    def __iter__(self): return iter([1, 2])\nr = ([x for x in A()], list(A()))",
    "operators": "class V:\n    def __init__(self, x): self.x = x\n    def __add__(self, o): return V(self.x + o.x)\n    def __mul__(self, k): return V(self.x * k)\n    def __eq__(self, o): return self.x == o.x\n    def __repr__(self): return f'V({self.x})'\nr = ((V(1) + V(2)).x, (V(2) * 3).x, V(1) == V(1), V(1) != V(2), repr(V(3)), str(V(4)), f'{V(5)}')",
    "isinstance": "class A: pass\nclass B(A): pass\nr = [isinstance(B(), A), isinstance(A(), B), isinstance(1, int), isinstance('a', (int, str)), isinstance([], list), isinstance(None, type(None)), issubclass(B, A), isinstance(True, int), type(1) is int, type(A()) is A, isinstance(2.0, (list, tuple))]",
    "getattr setattr hasattr": "class A:\n    x = 1\na = A()\nsetattr(a, 'y', 2)\nr = (getattr(a, 'x'), getattr(a, 'z', 9), a.y, hasattr(a, 'y'), hasattr(a, 'q'), sorted(vars(a)))",
    "method as value": "class A:\n    def __init__(self, n): self.n = n\n    def f(self, x): return self.n + x\ng = A(5).f\nr = [g(1), list(map(A(2).f, [1, 2]))]",
    "nested class": "class A:\n    class B:\n        x = 4\n    def f(self): return self.B.x\nr = (A().f(), A.B().x)",
    "dunder getattr": "class A:\n    def __getattr__(self, name): return name * 2\nr = (A().xy,)",
    "dataclass": "from dataclasses import dataclass, field\n@dataclass\nclass P:\n    x: int\n    y: int = 2\n    z: list = field(default_factory=list)\np = P(1)\np.z.append(3)\nr = (p.x, p.y, p.z, P(1, y=5).y, P(0).z)",
    "class body is code": "class A:\n    sizes = [2 ** i for i in range(3)]\n    names = {n: f'b{n}' for n in (1, 2)}\n    if True:\n        flag = 'yes'\nr = (A.sizes, A.names, A.flag)",
    "class keyword in init": "class A:\n    def __init__(self, **kw):\n        for k, v in kw.items(): setattr(self, k, v)\na = A(p=1, q=2)\nr = a.p + a.q",
    "dict of self": "class A:\n    def __init__(self): self.a, self.b = 1, 2\nr = A().__dict__",
    "class name": "class Net:\n    def f(self): return self.__class__.__name__ + type(self).__name__\nr = (Net.__name__, Net().f())",
    # classes that derive from Python's own types
    "namedtuple": "from collections import namedtuple\nclass P(namedtuple('P', ['x', 'y'])):\n    __slots__ = ()\n    def __new__(cls, x, y=2):\n        return super(P, cls).__new__(cls, x, y * 10)\n    @property\n    def z(self): return self.x + self.y\np = P(1)\na, b = p\nr = (p.x, p.y, p.z, a, b, p[1], len(p), tuple(p), isinstance(p, P), isinstance(p, tuple), p == (1, 20), p == P(1), P(3) in [P(2), P(3)], {P(1): 5}[P(1)], p._replace(x=7).z, isinstance(p._replace(x=7), P), sorted([P(2), P(1)])[0].x)",
    "namedtuple with its own hash": "from collections import namedtuple\nclass P(namedtuple('P', 'name n')):\n    def __hash__(self): return hash(self.name)\nr = len({P('a', 1), P('a', 1), P('b', 1)})",
    "typing.NamedTuple": "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 4\n    def total(self): return self.x + self.y\nr = (P(1).total(), P(1, 2).total(), P(x=5).x, list(P(1)), P(1) == (1, 4))",
    "dict": "class D(dict):\n    def __getattr__(self, name): return self[name]\n    def __setitem__(self, k, v): super().__setitem__(k, v * 2)\nd = D(a=1)\nd['b'] = 3\nr = (d.b, d['a'], len(d), sorted(d), 'a' in d, bool(D()), d.get('q', 9), dict(d), dict(**d), [k for k in d], isinstance(d, dict), d == {'a': 1, 'b': 6})",
    "dict with a constructor": "class D(dict):\n    def __init__(self, n, **kw):\n        super().__init__(**kw)\n        self.n = n\nd = D(3, a=1)\nr = (d.n, d['a'], len(d), list(d.items()))",
    "OrderedDict and list": "from collections import OrderedDict\nclass O(OrderedDict):\n    def first(self): return next(iter(self))\nclass L(list):\n    def last(self): return self[-1]\nl = L([1, 2])\nl.append(5)\nl[0] = 7\nl += [8]\nr = (O([('b', 1), ('a', 2)]).first(), L([1, 2]).last(), l.last() if isinstance(l, L) else l[-1], sum(l), l[1:])",
    "str and int": "class S(str):\n    def twice(self): return self + self\nclass N(int):\n    def next(self): return self + 1\nr = (S('ab').twice(), S('ab').upper(), N(3).next(), N(4) * 2, f'{S(\"x\")}', range(N(2)), S('a') == 'a')",
    "new": "class One:\n    made = None\n    def __new__(cls, *args):\n        if cls.made is None:\n            cls.made = super().__new__(cls)\n        return cls.made\n    def __init__(self, n): self.n = n\na = One(1)\nb = One(2)\nr = (a is b, a.n, b.n)",
    "new that makes something else": "class Make:\n    def __new__(cls, n): return [n] * 2\nr = Make(3)",
    "object.__new__": "class A:\n    @classmethod\n    def bare(cls):\n        a = object.__new__(cls)\n        a.x = 3\n        return a\n    def __init__(self): self.x = 9\nr = (A.bare().x, A().x, A.__new__(A).__class__ is A)",
    "equality in containers": "class A:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return isinstance(o, A) and self.n == o.n\n    def __hash__(self): return hash(self.n)\nr = (A(1) in [A(2), A(1)], [A(1), A(2)].index(A(2)), len({A(1), A(1)}), [A(1)] == [A(1)])",
    "copies": "import copy\nclass A:\n    def __init__(self): self.items = [1]\na = A()\nb, c = copy.copy(a), copy.deepcopy(a)\na.items.append(2)\nb.extra = 1\nr = (b.items, c.items, hasattr(a, 'extra'), isinstance(c, A))",
    # modules
    "packaging": "from packaging import version\nfrom packaging.version import parse, Version\nfrom packaging.requirements import Requirement\nr = (version.parse('2.10.1') > version.parse('2.9'), parse('2.4.0rc1') < Version('2.4'), Requirement('tensorflow>=2').name, parse('2.5') in Requirement('a>=2').specifier)",
    "six": "import six\nfrom six.moves import range, zip, xrange, reduce\nr = (isinstance('a', six.string_types), list(six.iteritems({'a': 1})), list(zip([1], range(2))), reduce(lambda a, b: a + b, [1, 2]), six.PY2, list(xrange(2)), list(six.moves.range(2)))",
    "a test or a failure": "def fail(e): raise e\nseen = []\n1 > 2 or seen.append('or')\n1 < 2 or fail(ValueError())\n1 < 2 and seen.append('and')\n1 > 2 and 1 / 0\n0 or '' or seen.append('last')\nr = seen",
    # lookups
    "globals": "def block_a(x): return ('a', x)\ndef block_b(x): return ('b', x)\nr = [globals()['block_' + k](1) for k in 'ab'] + [globals().get('nothing')]",
    "locals": "def f():\n    a = 1\n    return locals()['a']\nr = f()",
    "getattr of a module": "import math\nr = getattr(math, 'sq' + 'rt')(9)",
    "eval": "n = 3\nr = eval('n + 1')",
    "match value": "def f(x):\n    match x:\n        case 1: return 'one'\n        case 'a' | 'b': return 'letter'\n        case [a, b]: return a + b\n        case {'k': v}: return v\n        case (1, *rest): return rest\n        case int() if x > 10: return 'big'\n        case None: return 'none'\n        case _: return 'other'\nr = [f(v) for v in (1, 'b', [1, 2], {'k': 5}, (1, 2, 3), 50, None, 2.5)]",
    "match class": "class P:\n    __match_args__ = ('x',)\n    def __init__(self, x): self.x = x\nmatch P(4):\n    case P(x=3): r = 'three'\n    case P(x=n): r = n",
    "main guard": "r = 0\nif __name__ == '__main__':\n    r = 1",
    "import inside a function": "def f():\n    import math as m\n    from math import floor as fl\n    return m.ceil(fl(2.5))\nr = f()",
    "typing": "from typing import Optional, List, Tuple\nfrom __future__ import annotations\ndef f(x: Optional[int] = None, y: List[int] = (1,)) -> Tuple[int]: return (x, y)\nr = f()".replace("from __future__ import annotations\n", ""),
    "copy": "import copy\na = [[1], 2]\nb, c = copy.copy(a), copy.deepcopy(a)\na[0].append(5)\nr = (b, c)",
    "print returns none": "r = print('x') is None",
    "ternary with call": "def f(a, b=None): return (b or a * 2)\nr = [f(1), f(1, 5), f(1, 0)]",
    "bool of values": "r = [bool(x) for x in (0, 1, '', 'a', [], [0], {}, None, 0.0, ())]",
    "ellipsis and none": "r = (..., None, True, NotImplemented is NotImplemented)",
    "bytes": "r = (b'ab'[0], b'a' + b'b', len(b'abc'))",
    "complex targets": "class A: pass\na = A()\nxs = [0, 0]\na.n, xs[1] = 1, 2\nfor xs[0] in range(3): pass\nr = (a.n, xs)",
}  # fmt: skip
"""Each leaves its result in `r`."""


def evaluate(text: str, tmp_path: Path) -> dict[str, Any]:
    """The names of a module after its abstract evaluation."""
    path = tmp_path / "snippet.py"
    path.write_text(textwrap.dedent(text))
    return Program(path, None, "snippet", [tmp_path], KERAS3, Findings()).evaluate().names


def executed(text: str) -> dict[str, Any]:
    module = types.ModuleType("snippet")
    sys.modules["snippet"] = module  # dataclasses look there
    try:
        exec(compile(text, "snippet.py", "exec"), vars(module))
    finally:
        del sys.modules["snippet"]
    return vars(module)


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_value_is_that_of_python(name: str, tmp_path: Path):
    found, expected = evaluate(SNIPPETS[name], tmp_path)["r"], executed(SNIPPETS[name])["r"]
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, (list, tuple)):
        assert [type(x) for x in found] == [type(x) for x in expected]


@pytest.mark.xfail(strict=True, reason="members of an Enum are their plain values")
def test_members_of_an_enum_are_objects(tmp_path: Path):
    text = "from enum import Enum\nclass C(Enum):\n    A = 1\nr = (C.A.value, C.A == 1)"
    assert evaluate(text, tmp_path)["r"] == executed(text)["r"]


UNKNOWN = {
    "a missing import": "from nowhere import f\nr = f(3)\nkept = 1",
    "an attribute of it": "import nowhere\nr = nowhere.a.b\nkept = 1",
    "arithmetic with it": "import nowhere\nr = (nowhere.x + 1) * 2 - 3\nkept = 1",
    "an item of it": "import nowhere\nr = nowhere.x[0][1:]\nkept = 1",
    "a comparison with it": "import nowhere\nr = nowhere.x > 3\nkept = 1",
    "negation": "import nowhere\nr = not nowhere.x\nkept = 1",
    "a builtin of it": "import nowhere\nr = len(nowhere.x)\nkept = 1",
    "a text with it": "import nowhere\nr = f'{nowhere.x}_a'\nkept = 1",
    "unpacking it": "import nowhere\nq, r = nowhere.x\nkept = 1",
    "a branch on it": "import nowhere\nr = 1\nif nowhere.x:\n    r = 2\nkept = 1",
    "a branch with a raise on it": "import nowhere\nif nowhere.x:\n    raise ValueError\nkept = 1\nr = nowhere.x",
    "a loop over it": "import nowhere\nfor r in nowhere.x:\n    pass\nkept = 1",
    "a choice by it": "import nowhere\nr = 1 if nowhere.x else 2\nkept = 1",
    "and, or": "import nowhere\nr = nowhere.x or 3\nkept = 1",
    "a comprehension over it": "import nowhere\nr = [x for x in nowhere.x]\nkept = 1",
    "an object of a class from there": "import nowhere\nclass A(nowhere.B):\n    pass\nr = A().x\nkept = 1",
    "a function decorated from there still works": "import nowhere\n@nowhere.deco\ndef f(): return 1\nr = nowhere.x\nkept = f()",
    "a file": "with open('data.txt') as f:\n    r = f.read()\nkept = 1",
    "a generator": "def g():\n    yield 1\nr = g()\nkept = 1",
    "the environment": "import os\nr = os.path.exists('x')\nkept = 1",
    "an error at the top level": "r = 1 / 0\nkept = 1",
    "an undefined name": "r = nothing\nkept = 1",
    "numpy that is not evaluated": "import numpy as np\nr = np.random.choice(3)\nkept = 1",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_unknown_spreads_and_harms_nothing_else(name: str, tmp_path: Path):
    names = evaluate(UNKNOWN[name], tmp_path)
    assert isinstance(names["r"], Unknown)
    assert names["r"].reason
    assert names["kept"] == 1


def test_a_missing_import_counts_as_there(tmp_path: Path):
    """Verification stands in for it on both sides, so the `except` side is not the one that runs."""
    names = evaluate("try:\n    import nowhere\n    r = 'there'\nexcept ImportError:\n    r = 'missing'", tmp_path)
    assert names["r"] == "there"


@pytest.mark.parametrize(
    "text",
    [
        "while True:\n    pass\n",
        "def f():\n    return f()\nf()\n",
        "x = [1]\nfor i in x:\n    x = [1]\n    while i:\n        i += 1\n",
        "for i in range(10**9):\n    pass\n",
        "x = 10**10**10\n",
        "x = [0] * 10**9\n",
    ],
    ids=["endless", "recursion", "nested", "long", "power", "repeated"],
)
def test_a_program_without_an_end_ends_in_a_finding(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "MAX_STEPS", 20_000)
    with pytest.raises(Declined) as caught:
        evaluate(text, tmp_path)
    assert caught.value.code == "K2T005"
    assert caught.value.span is not None


def test_a_busy_machine_gives_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.monotonic", itertools.count(0, 1000).__next__)
    assert evaluate("x = 0\nfor i in range(5000):\n    x += 1\n", tmp_path)["x"] == 5000


def package(tmp_path: Path, **files: str) -> None:
    for name, text in files.items():
        path = tmp_path / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def evaluate_file(path: Path, name: str, root: Path) -> dict[str, Any]:
    return Program(path, None, name, [root], KERAS3, Findings()).evaluate().names


def test_imports_from_sibling_files(tmp_path: Path):
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("from .config import WIDTH\nVERSION = 1\n")
    (tmp_path / "pkg" / "sub" / "__init__.py").write_text("")
    package(
        tmp_path,
        pkg__config="WIDTH = 8\nDEPTH = 2\n_hidden = 3\n",
        pkg__ops="from .config import *\nfrom . import config as c\n__all__ = ['double']\ndef double(x): return x * 2 * c.DEPTH\ndef other(): pass\n",
        pkg__sub__leaf="from ..ops import *\nfrom ...pkg import VERSION\nfrom .. import WIDTH\nimport pkg.config\n"
        "r = (double(WIDTH), pkg.config.DEPTH, VERSION, 'other' in globals(), '_hidden' in globals())\n".replace(
            "from ...pkg", "from pkg"
        ),
    )
    names = evaluate_file(tmp_path / "pkg" / "sub" / "leaf.py", "pkg.sub.leaf", tmp_path)
    assert names["r"] == (32, 2, 1, False, False)


def test_star_import_without_all_leaves_private_names_out(tmp_path: Path):
    package(
        tmp_path,
        helpers="a = 1\n_b = 2\ndef f(): return _b\n",
        main="from helpers import *\nr = (a, f(), '_b' in globals())\n",
    )
    assert evaluate_file(tmp_path / "main.py", "main", tmp_path)["r"] == (1, 2, False)


def test_a_name_that_a_sibling_does_not_have_is_an_import_error(tmp_path: Path):
    text = "try:\n    from helpers import b\nexcept ImportError:\n    from helpers import a as b\nr = b\n"
    package(tmp_path, helpers="a = 1\n", main=text)
    assert evaluate_file(tmp_path / "main.py", "main", tmp_path)["r"] == 1


def test_modules_that_import_each_other(tmp_path: Path):
    package(
        tmp_path,
        a="import b\nx = 1\ndef f(): return b.y\n",
        b="import a\ny = 2\ndef g(): return a.x\n",
        main="import a, b\nr = (a.f(), b.g())\n",
    )
    assert evaluate_file(tmp_path / "main.py", "main", tmp_path)["r"] == (2, 1)


def test_a_module_is_evaluated_once(tmp_path: Path):
    package(
        tmp_path,
        state="seen = []\n",
        a="import state\nstate.seen.append('a')\n",
        main="import a, state\nfrom state import seen\nr = (seen, seen is state.seen)\n",
    )
    assert evaluate_file(tmp_path / "main.py", "main", tmp_path)["r"] == (["a"], True)
