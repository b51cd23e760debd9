"""Tests of one group go to one worker. pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
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
