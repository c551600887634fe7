"""LanceDB without the second that importing it would take.

`import lancedb` imports the generated client of its cloud service, some 1.3 s of processor time, which an embedded
store never uses. Here that package is put in place without running its `__init__`, which runs if anybody asks for one
of its names; its submodules (the models, which LanceDB does use) are imported as ever.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any

_CLIENT = "lance_namespace_urllib3_client"


class _Lean(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _put_in_place() -> None:
    spec = importlib.util.find_spec(_CLIENT)
    if spec is not None and _CLIENT not in sys.modules:
        module = _Lean(_CLIENT)
        module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations or ())
        sys.modules[_CLIENT] = module


_put_in_place()

import lancedb  # noqa: E402
from lancedb.index import BTree, HnswSq, IvfFlat, IvfPq  # noqa: E402

__all__ = ["BTree", "HnswSq", "IvfFlat", "IvfPq", "lancedb"]
