"""Where a task's log is, as attempts' rows say it: in CloudWatch, or where FireLens puts it."""

from barbeque_py import cloudwatch, firelens
from barbeque_py.cloudwatch import LogPlace, format_log_at
from barbeque_py.ecs_settings import CONTAINER


def begin_log_at(region: str, group: str, prefix: str, *, by_firelens: bool = False) -> str:
    """Return where logs will be of tasks that are not started yet; streams begin with `prefix`."""
    text = format_log_at(LogPlace(region, group, prefix))
    return text.replace(cloudwatch.SCHEME, firelens.SCHEME, 1) if by_firelens else text


def log_of_task(log_at: str, handle: str) -> str:
    """Return where the log is of the task with this ARN; `log_at` is what was begun for it."""
    if is_by_firelens(log_at):
        return f"{log_at}/{firelens.tag_of(handle)}"
    return f"{log_at}/{CONTAINER}/{handle.rpartition('/')[2]}"


def is_by_firelens(log_at: str) -> bool:
    """Tell whether FireLens carries the log."""
    return log_at.startswith(f"{firelens.SCHEME}:")
