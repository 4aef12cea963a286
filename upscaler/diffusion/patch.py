"""Replaces the `forward` of a module for a while, beneath whatever hooks offloading has put around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Inner:
    """The `forward` of a module without its hooks; `replace_forward` does not change it."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._signature = inspect.signature(type(module).forward)
        self.forward: Callable[..., Any] = getattr(module, _slot(module))

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of a call by the names that `forward` gives them."""
        bound = self._signature.bind(self._module, *args, **kwargs).arguments
        return dict(list(bound.items())[1:])


@contextmanager
def replace_forward(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Makes `forward` answer the calls of the module inside the context; afterwards everything is as before.

    accelerate's hooks wrap `_old_forward` and are made anew after every call of a pipeline, which moves what they wrap
    from there to `forward` and back. So the replacement may be found in the other place at the end.
    """
    slot = _slot(module)
    inherited = slot not in vars(module)
    original = getattr(module, slot)
    setattr(module, slot, forward)
    try:
        yield
    finally:
        for name in ("_old_forward", "forward"):
            if vars(module).get(name) is forward:
                if inherited and name == slot:
                    delattr(module, name)
                else:
                    setattr(module, name, original)


def _slot(module: torch.nn.Module) -> str:
    return "_old_forward" if "_old_forward" in vars(module) else "forward"
