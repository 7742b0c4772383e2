"""`shiftc zoo`: writes networks of the zoo as ONNX files."""

from __future__ import annotations

from pathlib import Path

import click

from shiftc.cli.flags import PATH, debug_flag
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import quantity
from shiftc.options import ZooOptions


@click.command()
@click.argument("name", required=False)
@click.option("-o", "--output", type=PATH, help="The ONNX file to write.")
@click.option("--list", "list_names", is_flag=True, help="List the networks.")
@debug_flag
@click.pass_obj
def zoo(terminal: Terminal, /, name: str | None, output: Path | None, list_names: bool) -> None:
    """Write the network NAME with random weights as ONNX; its size is printed beside its paper's figures."""
    if list_names:
        from shiftc.zoo import names

        for known in names():
            terminal.say(known)
        return
    if name is None or output is None:
        raise click.UsageError("give NAME and -o FILE, or --list")
    from shiftc.driver import write_zoo

    with terminal.progress() as progress:
        report = write_zoo(ZooOptions(name, output), progress)
    paper = report.published
    terminal.say(
        f"{name} -> {output}: {quantity(report.parameters)}parameters{_published(paper.parameters)}, "
        f"{quantity(report.macs)}MACs{_published(paper.macs)}; {paper.source}"
    )


def _published(figure: float | None) -> str:
    return "" if figure is None else f" (published: {quantity(figure).strip()})"
