"""Share the table of growth between the benchmarks. None of them asserts a time: machines and their load differ."""

from __future__ import annotations

import pytest
from growing import Growth, growth_table

from fxviz._report.tables import written

GROWTH = pytest.StashKey[Growth]()


def pytest_configure(config: pytest.Config) -> None:
    """Start with no measurements."""
    config.stash[GROWTH] = {}


@pytest.fixture(scope="session")
def growth(request: pytest.FixtureRequest) -> Growth:
    """Return the medians of growing models, which the table at the end shows."""
    return request.config.stash[GROWTH]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the cost of doubling the number of layers."""
    if growth := config.stash[GROWTH]:
        terminalreporter.section("growth")
        terminalreporter.write_line(written(growth_table(growth)))
