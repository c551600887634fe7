"""Name the device that Keras computes on, so that a log shows a training that runs on the CPU by mistake."""

import importlib
import os
from typing import Any

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}
"""Names of the backends of Keras on which this program trains; the keys are also names of their packages."""


def training_device() -> str:
    """Return the device, the backend and its version, such as `gpu: JAX 0.11.2, NVIDIA H200`.

    A GPU counts only if the backend can use it. For a CPU the last part is the number of cores that the process may
    use. The call imports Keras, which takes seconds if no module has imported it.
    """
    import keras

    name: str = keras.backend.backend()
    if name not in BACKENDS:
        return f"{name} backend of Keras"
    module: Any = importlib.import_module(name)
    gpu = {"tensorflow": _tensorflow_gpu, "jax": _jax_gpu}[name](module)
    kind, device = ("cpu", _cores()) if gpu is None else ("gpu", gpu)
    return f"{kind}: {BACKENDS[name]} {module.__version__}, {device}"


def _tensorflow_gpu(tensorflow: Any) -> str | None:
    """Return the model of the first GPU; None if TensorFlow can use none."""
    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tensorflow.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", gpus[0].name))


def _jax_gpu(jax: Any) -> str | None:
    """Return the model of the first GPU; None if JAX can use none."""
    device = jax.devices()[0]
    return None if device.platform == "cpu" else str(device.device_kind)


def usable_cores() -> int:
    """Return the number of cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cores() -> str:
    cores = usable_cores()
    return f"{cores} core" if cores == 1 else f"{cores} cores"
