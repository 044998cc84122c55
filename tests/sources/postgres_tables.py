"""Databases of a PostgreSQL server for the tests of sources; the server goes with the tests, and they with it."""

from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url


def new_database(server: str) -> str:
    """Make an empty database, and return its URL."""
    name = f"shop_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def run(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
