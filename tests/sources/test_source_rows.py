"""Queries that teams write, as subqueries: semicolons and comments at their end (rule D1)."""

import pytest

from experiment_pipeline.sources.source_rows import subquery, without_semicolon

ENDED = "select 1"


@pytest.mark.parametrize("end", ["", ";", " ; \n", "; -- it's all", "; /* a; b */ -- c\n;", ";\n-- a\n-- b"])
def test_without_semicolon__at_the_end__leaves_the_statement(end: str) -> None:
    assert without_semicolon(f"{ENDED}{end}").strip() == ENDED


@pytest.mark.parametrize(
    "query",
    [
        "select 1; select 2",
        "select ';-- a'",
        "select 'a'';-- b'",
        'select ";-- a"',
        "select `;-- a`",
        "select $$;-- a$$",
        "select $x$;--$$ a$x$",
        r"select 'a\';-- b'",  # of ClickHouse one text; of PostgreSQL a text and a comment: left to the server
        "select 1 -- a; b",
    ],
)
def test_without_semicolon__that_is_none_of_the_end__stays(query: str) -> None:
    assert without_semicolon(query) == query


def test_subquery__comment_at_the_end__does_not_reach_the_bracket() -> None:
    assert subquery("select 1 -- a").endswith("\n)")
