"""The log of a training in the Prefect UI."""

from prefect.logging import get_run_logger


def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
    """Log the metrics of an epoch."""
    values = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    get_run_logger().debug("epoch %s: %s", epoch, values)
