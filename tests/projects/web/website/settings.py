"""Settings of a small Django project whose tasks are jobs."""

SECRET_KEY = "not a secret"
USE_TZ = True
INSTALLED_APPS = ["django_tasks", "barbeque_py.django"]
TASKS = {
    "default": {
        "BACKEND": "barbeque_py.django.backend.BarbequeBackend",
        "QUEUES": ["default", "other"],
        "OPTIONS": {"app": "web", "jobs": {"website.tasks.add": "Add"}},
    }
}
