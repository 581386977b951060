"""Django's tasks as jobs: `barbeque_py.django.backend.BarbequeBackend` in `TASKS`.

With `barbeque_py.django` in `INSTALLED_APPS` the command `manage.py barbeque_run` runs, in the
job's container, the task that the job is.
"""
