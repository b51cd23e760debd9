"""Every probe on a genuine connection of its role, on a database born empty and on one taken over."""

import pytest

from tests.policies.conftest import ConnectTo
from tests.policies.probe import Probe, observe
from tests.policies.probes import PROBES

CASES = [
    pytest.param(birth, probe, id=f"{birth}: {probe.proves}")
    for birth in ("born empty", "taken over")
    for probe in PROBES
    if birth == "taken over" or not probe.needs_legacy
]


@pytest.mark.parametrize(("birth", "probe"), CASES)
def test_the_database_holds_each_role_to_its_own(connect_to: ConnectTo, birth: str, probe: Probe) -> None:
    assert observe(connect_to(birth, probe.role), probe) == probe.expected


def test_each_probe_proves_something_of_its_own() -> None:
    assert len({probe.proves for probe in PROBES}) == len(PROBES)
