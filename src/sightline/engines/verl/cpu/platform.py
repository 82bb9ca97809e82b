"""A CPU as a platform of verl, which ships cuda, rocm and npu; chosen by VERL_PLATFORM=cpu."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
import verl.utils.distributed as verl_distributed  # pyright: ignore[reportMissingImports]
from verl.plugin.platform.platform_cuda import PlatformCUDA  # pyright: ignore[reportMissingImports]
from verl.plugin.platform.platform_manager import PlatformRegistry  # pyright: ignore[reportMissingImports]

_ZERO = ("max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved")
_ANSWERS = {"get_device_name": "CPU", "mem_get_info": (0, 0), "is_available": True}


class _Module(types.ModuleType):
    """In the place of torch.cuda: what torch.cpu has, and for the rest answers that do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if hasattr(torch.cpu, name):
            return getattr(torch.cpu, name)
        answer = 0 if name in _ZERO else _ANSWERS.get(name)
        return lambda *_, **__: answer


_MODULE = _Module("torch_cpu")


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformCUDA):
    """One rank, one share of the machine's CPUs; ranks talk over gloo."""

    device_name = property(lambda self: "cpu")
    vendor_name = property(lambda self: "generic")
    device_module = property(lambda self: _MODULE)

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        return False  # never found by itself, only by VERL_PLATFORM

    def current_device(self) -> Any:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def set_device(self, index: Any) -> None: ...

    def synchronize(self, index: Any = None) -> None: ...

    def empty_cache(self) -> None: ...

    def set_allocator_settings(self, settings: Any) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CPU_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "CPU"

    def ray_resource_options(self, count: float) -> dict[str, Any]:
        return {"num_cpus": count}

    def ray_noset_envvars(self) -> list[str]:
        return []

    def get_device_capability(self, *_: Any) -> tuple[None, None]:
        return (None, None)


# verl asks for "cpu:gloo,<device>:<backend>", which torch refuses where the device is the CPU itself.
verl_distributed.initialize_global_process_group_ray = functools.partial(
    verl_distributed.initialize_global_process_group_ray, backend="gloo"
)
