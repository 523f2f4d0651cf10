"""What holds for every test: CPU, four devices, strict JAX, no network, no trace at home.

All of it but the socket guard is set through the environment, so that commands which a test starts
as a process of their own get the same; hence it comes before anything imports jax.
"""

import atexit
import os
import shutil
import socket
import tempfile

import pytest

_scratch = tempfile.mkdtemp(prefix="distilbert-flax-tests-")
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)

# Most of the suite's time is compilation, of what runs a few times: without LLVM's optimisation and
# the newer, slower generator of fused kernels it takes 0.4 of the time.
for _flag, _value in (
    ("--xla_force_host_platform_device_count", 4),
    ("--xla_backend_optimization_level", 0),
    ("--xla_cpu_use_fusion_emitters", "false"),
    ("--xla_cpu_parallel_codegen_split_count", 1),
):
    if _flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_flag}={_value}".strip()

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

# A port where nobody listens: processes that tests start are offline too. Tests that play the hub
# themselves set the address of their own server.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HOME"] = f"{_scratch}/huggingface"
os.environ["DISTILBERT_FLAX_CACHE"] = f"{_scratch}/cache"
os.environ["MPLBACKEND"] = "agg"

# What commands compile is kept for this session only: tests kill some of them, and a half-written
# entry would stay.
os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{_scratch}/compiled"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_configure(config: pytest.Config) -> None:
    """What the tests themselves compile is found again by the next run."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(config.rootpath / ".pytest_cache" / "jax"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to another machine fails at once, as it does without a network."""
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self, address):
        if self.family != socket.AF_UNIX and address[0] not in _LOOPBACK:
            raise ConnectionRefusedError(f"tests are offline: {address}")
        return connect(self, address)

    def guarded_getaddrinfo(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name not in _LOOPBACK:
            raise socket.gaierror(socket.EAI_NONAME, f"tests are offline: {name}")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
