"""Commands of which one may be left out."""

from typing import Any

from typer.core import TyperGroup


def standing_for(verb: str) -> type[TyperGroup]:
    """Return a group in which `GROUP WORD` is short for `GROUP VERB WORD`."""

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
                args = [verb, *args]
            return super().parse_args(ctx, args)

    return Group
