"""Ids: of the form that RFC 9562 says, by age, and each but once, whoever makes them."""

import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

from barbeque_py.ids import is_message_id, new_message_id

FORKED = """
import os
from barbeque_py.ids import new_message_id
new_message_id()
ends = os.pipe()
child = os.fork()
if child == 0:
    os.write(ends[1], " ".join(new_message_id()[14:] for _ in range(50)).encode())
    os._exit(0)
os.waitpid(child, 0)
theirs = set(os.read(ends[0], 10_000).decode().split())
ours = {new_message_id()[14:] for _ in range(50)}
assert len(theirs) == len(ours) == 50
assert not theirs & ours
"""


def test_each_is_another_in_all_threads_and_has_its_kind_and_its_time() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_message_id(), range(5_000)))
    assert len(set(made)) == len(made)
    read = [uuid.UUID(each) for each in made]
    assert {(each.version, each.variant) for each in read} == {(7, uuid.RFC_4122)}
    assert all(is_message_id(each) and str(uuid.UUID(each)) == each for each in made)
    assert max(each.int >> 80 for each in read) - min(each.int >> 80 for each in read) < 600_000
    # each bit of chance is set about as often as not
    for bit in (*range(62), *range(64, 76)):
        assert 0.4 < sum(each.int >> bit & 1 for each in read) / len(read) < 0.6, bit


def test_a_forked_process_draws_chance_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)
