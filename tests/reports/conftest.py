"""Fixtures of the tests in this folder."""

from tests.result_fixtures import make_record_fixture, write_cell, write_run

__all__ = ["make_record_fixture", "write_cell", "write_run"]
