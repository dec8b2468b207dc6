"""One real gateway with everything allowed: whatever is refused is refused before policy."""

from collections.abc import Iterator

import pytest

from tests.e2e.gateways import RunningGateway, gateway
from tests.e2e.processes import CompanyServer, company_server


@pytest.fixture(scope="module")
def company() -> Iterator[CompanyServer]:
    """A company whose counts show whether anything came through."""
    with company_server() as running:
        yield running


@pytest.fixture(scope="module")
def allowing(company, tmp_path_factory) -> Iterator[RunningGateway]:
    """A gateway that allows everything that is well-formed."""
    with gateway(tmp_path_factory.mktemp("allow"), company.url, "allow_all") as running:
        yield running
