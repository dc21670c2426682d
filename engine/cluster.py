"""A Ray cluster, joined or started here. Whoever can reach one can run code on it: use your own."""

import contextlib
import signal
import socket
import tempfile
from collections.abc import Generator
from typing import Any

from neurosono.engine.contracts.errors import EngineUnavailableError, InputError, NeurosonoError

LOCAL = "local"

CONNECT_S = 5.0
"""How long a cluster may take to accept a connection; Ray itself would try for two minutes."""


@contextlib.contextmanager
def join_cluster(address: str, workers: int) -> Generator[Any]:
    """Join the cluster at `address`, HOST:PORT, and yield the module `ray`.

    `local` starts one here, with `workers` processes, that ends with this block. Raises
    `EngineUnavailableError`, `InputError`.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise EngineUnavailableError(
            "--cluster needs Ray, which is not installed: pip install 'neurosono[cluster]'"
        ) from error
    terminate = signal.getsignal(signal.SIGTERM)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    with contextlib.ExitStack() as stack:
        # Not Ray's own folder, where its logs would stay, nor TMPDIR: a socket's path has 107
        # characters at most.
        aside = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        folder = stack.enter_context(aside)
        stack.callback(ray.shutdown)
        try:
            if address == LOCAL:
                ray.init(num_cpus=workers, include_dashboard=False, _temp_dir=folder, **quiet)
            else:
                _check_reachable(address)
                ray.init(address=address, **quiet)
        except NeurosonoError:
            raise
        except Exception as error:  # Ray raises its base class where a node is slow to start
            raise EngineUnavailableError(_describe_failure(address, error)) from error
        signal.signal(signal.SIGTERM, terminate)  # Ray takes it over: ours ends a command politely
        yield ray


def _describe_failure(address: str, error: Exception) -> str:
    why = str(error).partition(". ")[0]
    if address == LOCAL:
        return f"no local Ray cluster could be started ({why}): try again, or leave --cluster out"
    return (
        f"no Ray cluster at {address} can be joined ({why}): run `ray start --address HOST:PORT` "
        "on this machine first (with RAY_AUTH_MODE=token where the cluster has one), or use local"
    )


def _check_reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--cluster must be HOST:PORT or {LOCAL}, found {address!r}")
    with socket.create_connection((host, int(port)), CONNECT_S):
        pass
