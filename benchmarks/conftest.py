"""What the benchmarks share. None asserts a time: machines differ, and so do their days."""

from __future__ import annotations

import pytest
from growing import Growth, growth_table

from fxviz._report.tables import written

GROWTH = pytest.StashKey[Growth]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing measured."""
    config.stash[GROWTH] = {}


@pytest.fixture(scope="session")
def growth(request: pytest.FixtureRequest) -> Growth:
    """Where the medians of growing models are gathered, for the table at the end."""
    return request.config.stash[GROWTH]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what a doubling costs."""
    if growth := config.stash[GROWTH]:
        terminalreporter.section("growth")
        terminalreporter.write_line(written(growth_table(growth)))
