"""No migration holds up those who work with the database meanwhile; squawk reads the SQL that each one comes to."""

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.postgres import migrations

SQUAWK = Path(sys.executable).parent / "squawk"
OLDEST_POSTGRESQL = "15.0"

# What squawk is not asked about, and why.
NOT_ASKED: Mapping[str, str] = {
    "prefer-bigint-over-int": "versions, counts and minutes stay small; offsets are bigint",
    "prefer-bigint-over-smallint": "the rank of a priority is one of five",
    "prefer-text-field": "the varchar is in the table of Alembic",
    "prefer-robust-stmts": "a revision is a transaction; what is built concurrently drops what a broken attempt left",
    "require-statement-timeout": "what holds up nobody may take its time, and lock_timeout bounds what would",
}
# What a revision is forgiven, and why.
_BEFORE_ANY_RELEASE = "ran before the first release, on tables that nobody used"
FORGIVEN: Mapping[tuple[str, str], str] = {
    ("0002", "adding-not-nullable-field"): _BEFORE_ANY_RELEASE,
    ("0002", "ban-drop-default"): _BEFORE_ANY_RELEASE,
    ("0002", "constraint-missing-not-valid"): _BEFORE_ANY_RELEASE,
    ("0002", "disallowed-unique-constraint"): _BEFORE_ANY_RELEASE,
    ("0002", "require-concurrent-index-creation"): _BEFORE_ANY_RELEASE,
    ("0002", "require-concurrent-index-deletion"): _BEFORE_ANY_RELEASE,
    ("0007", "ban-drop-constraint"): "another of the same name, which allows more, comes in its place at once",
    ("0020", "ban-drop-not-null"): "no older release reads such a row: guests come with a token that it does not know",
    ("0029", "ban-drop-constraint"): "another of the same name, which allows more, comes in its place at once",
    ("0010", "changing-column-type"): _BEFORE_ANY_RELEASE,
}
REVISIONS = ["base", *migrations.revisions()]


def objections(script: str) -> set[str]:
    """The names of the rules that this SQL breaks."""
    done = subprocess.run(
        [SQUAWK, "--reporter=json", f"--pg-version={OLDEST_POSTGRESQL}", f"--exclude={','.join(NOT_ASKED)}"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return {found["rule_name"] for found in json.loads(done.stdout)}


@pytest.mark.parametrize(("before", "revision"), list(pairwise(REVISIONS)))
def test_a_revision_holds_up_nobody(before: str, revision: str) -> None:
    forgiven = {rule for number, rule in FORGIVEN if number == revision}
    assert objections(migrations.script(revision, before)) == forgiven


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX ix ON tasks (title)", "require-concurrent-index-creation"),
        ("ALTER TABLE tasks ALTER COLUMN title SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE tasks RENAME COLUMN title TO name", "renaming-column"),
        ("DROP TABLE tasks", "ban-drop-table"),
    ],
)
def test_a_statement_that_would_is_found(statement: str, rule: str) -> None:
    assert rule in objections(f"SET lock_timeout = '3s'; {statement};")


def test_a_script_without_a_bound_on_waiting_for_locks_is_found() -> None:
    script = migrations.script("0004", "0003")
    assert "require-lock-timeout" in objections(script.replace("SET lock_timeout = '3s';", ""))
