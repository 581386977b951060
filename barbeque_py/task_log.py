"""Where a task's log is, once the task is known."""

from barbeque_py.ecs_settings import CONTAINER


def log_of_task(log_at: str, handle: str) -> str:
    """Return where the log is of the task with this ARN; `log_at` is what was prepared for it.

    That names the beginning of the stream's name, `awslogs:REGION:GROUP:PREFIX`; awslogs goes on
    with the container and the task's id.
    """
    return f"{log_at}/{CONTAINER}/{handle.rpartition('/')[2]}"
