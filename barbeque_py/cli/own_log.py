"""What the processes say of themselves: on standard error, a line each."""

import logging
import sys
import time

from barbeque_py.cli.repeats import Repeats


def set_up_logging(*, requests: bool = True) -> None:
    """Write log lines to standard error, in UTC; those of requests that went well if wanted.

    What an outage repeats is written once.
    """
    handler = logging.StreamHandler(sys.stderr)
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%FT%TZ")
    form.converter = time.gmtime
    handler.setFormatter(form)
    handler.addFilter(Repeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("barbeque.api").setLevel(logging.INFO if requests else logging.WARNING)
    for library in ("alembic", "botocore", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
