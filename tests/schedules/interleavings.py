"""Functions of LLVM's assembly run one access to memory at a time, from states that can be kept and compared.

What is run is the text that the code generator is given: the few instructions that it consists of are
interpreted. Memory is sequentially consistent; whether loads acquire and stores release is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property

import attrs

Memory = dict[int, int]

_DEFINITION = re.compile(r"define [^@]*@(\w+)\((.*?)\)[^{]*\{(.*?)\n\}", re.S)
_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "udiv": lambda a, b: a // b,
    "urem": lambda a, b: a % b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b,
    "lshr": lambda a, b: a >> b,
}
_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "slt": lambda a, b: a < b,
    "ult": lambda a, b: a < b,
    "ule": lambda a, b: a <= b,
    "ugt": lambda a, b: a > b,
    "uge": lambda a, b: a >= b,
}
_SHARED = ("load", "store", "atomicrmw", "cmpxchg")
_REGISTER = re.compile(r"(?<!label )%([\w.]+)")
_NUMBER = re.compile(r"-?\d+|true")
_LABEL = re.compile(r"label %([\w.]+)")


@attrs.frozen
class Instruction:
    """`target = opcode rest`; target "" where there is none."""

    target: str
    opcode: str
    rest: str

    @classmethod
    def of(cls, line: str) -> Instruction:
        target, _, operation = line.rpartition(" = ")
        opcode, _, rest = operation.partition(" ")
        return cls(target.lstrip("%"), opcode, rest)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Registers."""
        if self.opcode == "phi":
            return frozenset(re.findall(r"\[ %([\w.]+),", self.rest))
        return frozenset(_REGISTER.findall(self.rest))

    @property
    def operands(self) -> list[str]:
        """Registers and numbers, without types and orderings."""
        words = (part.split() for part in self.rest.split(", "))
        return [word for part in words for word in part if word.startswith("%") or _NUMBER.fullmatch(word)]


@attrs.frozen
class Frame:
    """A call that is about to access memory, or has returned: its place, and the registers that are read from
    there on."""

    function: str
    label: str
    index: int
    values: tuple[tuple[str, int], ...]
    returned: int | None = None


class Code:
    """The functions of a text, by name.

    saturated: the register that only counts how often was looked, and from which number on that is the same.
    """

    def __init__(self, text: str, saturated: tuple[str, int] = ("", 0)) -> None:
        self._saturated = saturated
        self._parameters: dict[str, list[str]] = {}
        self._blocks: dict[str, dict[str, list[Instruction]]] = {}
        for name, parameters, body in _DEFINITION.findall(text):
            self._parameters[name] = re.findall(r"%([\w.]+)", parameters)
            blocks: dict[str, list[Instruction]] = {"entry": []}
            label = "entry"
            for line in filter(None, map(str.strip, body.splitlines())):
                if line.endswith(":"):
                    label = line[:-1]
                    blocks[label] = []
                else:
                    blocks[label].append(Instruction.of(line))
            self._blocks[name] = blocks
        self._live = {name: _live(blocks) for name, blocks in self._blocks.items()}

    def call(self, function: str, *arguments: int) -> Frame:
        """Up to the first access."""
        values = dict(zip(self._parameters[function], arguments, strict=True))
        return self._local(function, "entry", 0, values)

    def step(self, frame: Frame, memory: Memory) -> Frame:
        """The access that the frame is about to make, and on to the next."""
        values = dict(frame.values)
        instruction = self._blocks[frame.function][frame.label][frame.index]
        result = _access(instruction, [_value(word, values) for word in instruction.operands], memory)
        if instruction.target:
            values[instruction.target] = result
        return self._local(frame.function, frame.label, frame.index + 1, values)

    def _local(self, function: str, label: str, index: int, values: dict[str, int]) -> Frame:
        """What concerns registers alone."""
        while True:
            instruction = self._blocks[function][label][index]
            if instruction.opcode in _SHARED:
                live = self._live[function][label, index]
                kept = tuple(sorted((name, value) for name, value in values.items() if name in live))
                return Frame(function, label, index, kept)
            if instruction.opcode == "ret":
                return Frame(function, label, index, (), _value(instruction.operands[-1], values))
            if instruction.opcode == "br":
                label, index = self._jump(function, label, instruction, values), 0
                index = self._choose(function, label, values)
                continue
            if instruction.opcode != "call":
                values[instruction.target] = self._result(instruction, values)
            index += 1

    def _jump(self, function: str, label: str, instruction: Instruction, values: dict[str, int]) -> str:
        """The next block; where from is kept for its phis."""
        labels = _LABEL.findall(instruction.rest)
        values["from"] = list(self._blocks[function]).index(label)
        taken = len(labels) == 1 or _value(instruction.operands[0], values)
        return str(labels[0 if taken else 1])

    def _choose(self, function: str, label: str, values: dict[str, int]) -> int:
        """Sets all phis of a block at once; the instruction behind them."""
        before = list(self._blocks[function])[values.pop("from")]
        block = self._blocks[function][label]
        phis = [instruction for instruction in block if instruction.opcode == "phi"]
        chosen = {}
        for phi in phis:
            (word,) = re.findall(rf"\[ (\S+), %{re.escape(before)} \]", phi.rest)
            chosen[phi.target] = _value(word, values)
        values.update(chosen)
        return len(phis)

    def _result(self, instruction: Instruction, values: Mapping[str, int]) -> int:
        opcode = instruction.opcode
        if opcode == "extractvalue":
            pair = values[instruction.operands[0].lstrip("%")]
            return pair & 1 if instruction.rest.endswith(", 1") else pair >> 1
        numbers = [_value(word, values) for word in instruction.operands]
        if opcode in ("zext", "trunc"):
            return numbers[0]
        if opcode == "getelementptr":
            return numbers[0] + numbers[1]
        if opcode == "select":
            return numbers[1] if numbers[0] else numbers[2]
        if opcode == "icmp":
            return int(_COMPARED[instruction.rest.split()[0]](*numbers))
        name, most = self._saturated
        result = _ARITHMETIC[opcode](*numbers)
        return min(result, most) if instruction.target == name else result


def _value(word: str, values: Mapping[str, int]) -> int:
    if word.startswith("%"):
        return values[word[1:]]
    return 1 if word == "true" else int(word)


def _access(instruction: Instruction, numbers: list[int], memory: Memory) -> int:
    """The result. That of `cmpxchg`, a pair, is one number: twice the first, and the second added."""
    if instruction.opcode == "store":
        memory[numbers[1]] = numbers[0]
        return 0
    held = memory.get(numbers[0], 0)
    if instruction.opcode == "atomicrmw":
        memory[numbers[0]] = held + numbers[1]
    if instruction.opcode == "cmpxchg":
        if held == numbers[1]:
            memory[numbers[0]] = numbers[2]
        return 2 * held + (held == numbers[1])
    return held


def _live(blocks: Mapping[str, list[Instruction]]) -> dict[tuple[str, int], frozenset[str]]:
    """The registers that are read at an instruction or behind it before they are set."""
    live: dict[tuple[str, int], frozenset[str]] = {}
    entry: dict[str, frozenset[str]] = dict.fromkeys(blocks, frozenset())
    changed = True
    while changed:
        changed = False
        for label, block in blocks.items():
            jumps = [name for instruction in block for name in _LABEL.findall(instruction.rest)]
            now = frozenset().union(*(entry[name] for name in jumps))
            for index in reversed(range(len(block))):
                now = (now - {block[index].target}) | block[index].reads
                live[label, index] = now
            changed |= entry[label] != now
            entry[label] = now
    return live
