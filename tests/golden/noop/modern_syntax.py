from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, value: T, /, *, label: str = "") -> None:
        self.value, self.label = value, label


def shape_of(value: object) -> str:
    match value:
        case [x, y]:
            return f"pair {x!r:>{10}} {y=}"
        case {"units": int(units), **rest} if units > 0:
            return f"{units} {rest}"
        case Box(value=v):
            return str(v)
        case _:
            return "other"


async def main() -> None:
    async with asyncio.timeout(1) as t, asyncio.Lock():
        if (n := len(shape_of([1, 2]))) > 3:
            print(n, t)
    values = [x async for x in numbers() if x % 2]
    print(*values, sep="", end="\n")


async def numbers():
    for i in range(3):
        yield i


asyncio.run(main())
