"""What verl lacks to train on a machine without GPUs: a platform, and a server that generates with transformers.

All else of a run is verl's own: its trainer, FSDP engine, agent loop, reward loop and checkpoints.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import ray
import torch
from transformers_server import Server
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.utils import distributed
from verl.workers.rollout import base, replica


class Device(ModuleType):
    """torch.cpu, and nothing done where it lacks what torch.cuda has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(torch.cpu, name, lambda *_, **__: 0)

    def get_device_name(self) -> str:
        return "CPU"

    def mem_get_info(self) -> tuple[int, int]:
        return 1, 1


@PlatformRegistry.register(platform="cpu")
class Processor(PlatformBase):
    """Ray hands it out as a GPU; `torch` treats it as a CPU."""

    device_name = "cpu"
    vendor_name = "none"
    device_module = Device("device")

    def is_available(self) -> bool:
        return True

    def current_device(self) -> Any:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def nothing(self, *_: Any, **__: Any) -> None:
        """There is no device to set, seed, empty or profile."""

    set_device = synchronize = manual_seed = manual_seed_all = set_allocator_settings = empty_cache = nothing
    profiler_start = profiler_stop = cudart = nothing


class Adapter(base.BaseRollout):
    """The trainer's side of the server."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, **_: Any) -> None:
        super().__init__(config, model_config, device_mesh)

    async def resume(self, tags: list[str]) -> None:
        """Nothing was released."""

    async def release(self) -> None:
        """Nothing to release."""

    async def update_weights(self, weights: Any, global_steps: int | None = None, **_: Any) -> None:
        await ray.get_actor("transformers").load.remote({k: v.cpu() for k, v in weights}, global_steps or 0)


class Replica(replica.RolloutReplica):
    """One server."""

    async def launch_servers(self) -> None:
        made = ray.remote(Server).options(name="transformers", num_cpus=0)
        self._server_handle = made.remote(self.model_config.path, self.config.response_length)
        self._server_address, self.servers = "transformers", [self._server_handle]


def initialize(timeout_second: Any = None, backend: Any = None) -> None:
    """verl's own names the backends of the CPU and the device, and torch refuses to hear of the CPU twice."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")


distributed.initialize_global_process_group_ray = initialize
base._ROLLOUT_REGISTRY[("transformers", "async")] = f"{__name__}.Adapter"
replica.RolloutReplicaRegistry.register("transformers", lambda: Replica)
