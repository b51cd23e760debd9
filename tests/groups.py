"""How the tests are dealt to the workers: the slow ones first, and those of one group to one worker.

The tests of a module that share a running site are a group: else each worker would start one. Whatever opens a browser is
marked so.

pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it.
"""

import pytest

# Beside what is marked by itself: these start sites, take databases over, walk every address or mutant, try a race
# or a month some hundred times, or wait for a server that drips.
SLOW = (
    "tests/access/",
    "tests/takeover/",
    "tests/core/test_setup.py",
    "tests/web/test_static_files.py",
    "tests/deploy/",
    "tests/faults/",
    "tests/flows/",
    "tests/hostile/",
    "tests/migrations/",
    "tests/mail/test_dripping.py",
    "tests/operations/test_backup.py",
    "tests/operations/test_catalog_mutants.py",
    "tests/operations/test_drop_v2",
    "tests/operations/test_interrupted.py",
    "tests/operations/test_point_in_time.py",
    "tests/policies/test_mutants.py",
    "tests/policies/test_rights.py",
    "tests/postgres/",
    "tests/properties/",
    "tests/races/",
    "tests/rollout/test_migrations.py",
    "tests/rollout/targeting/test_notification_flood.py",
    "tests/rollout/targeting/test_propagation.py",
    "tests/rollout/gates/test_sequential.py",
    "tests/rollout/promotion/test_audit_log.py::test_a_record_from_before_the_chain_is_chained_by_the_migration",
    "tests/rollout/promotion/test_rollbacks.py",
    "tests/serving/test_signing_in_at_once.py",
    "tests/serving/test_wire.py::test_a_head_that_does_not_end_is_answered_408_in_time",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    # As soon as it is known: `-m` chooses before the hook below comes to its turn.
    fixtures = getattr(item, "fixturenames", ())
    if "browser" in fixtures:
        item.add_marker(pytest.mark.browser)
    if "gunicorn_address" in fixtures:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    if item.nodeid.startswith(SLOW):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # After the shuffling, which stays as it is among each: a slow one at the end would leave the other worker idle.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if not getattr(config.option, "loadgroup", False):
        return
    try:
        from _pytest.nodeid import coerce_node_id
    except ImportError:
        return

    for item in items:
        group = next((str(mark.args[0]) for mark in item.iter_markers("xdist_group")), None)
        if group and not item.nodeid.endswith(f"@{group}"):
            item._id = coerce_node_id(f"{item.nodeid}@{group}")
