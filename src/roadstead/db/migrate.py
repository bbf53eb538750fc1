"""Brings a database to the schema of this version: numbered SQL files, each applied once, by yoyo-migrations."""

from importlib import resources
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict

SCHEMA = "roadstead"
_LOCK = 7_236_231_114  # any number of our own; held while the schema changes

_ROLES = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['roadstead_owner', 'roadstead_tenant', 'roadstead_system'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
        -- Whoever makes a role may hand it out, but may not take it on before it was handed to them as well.
        IF NOT pg_has_role(current_user, name, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE', name);
        END IF;
    END LOOP;
END
$$;
CREATE SCHEMA IF NOT EXISTS roadstead AUTHORIZATION roadstead_owner;
GRANT USAGE ON SCHEMA roadstead TO roadstead_tenant, roadstead_system;
"""


def migrate(url: str) -> list[str]:
    """Apply what is missing and name it. Safe to call from several processes: one does the work, the others wait.

    The login of `url` must be allowed to create roles the first time. A failed migration leaves its step undone.
    """
    with psycopg.connect(url, autocommit=True) as lock:
        lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        lock.execute(_ROLES)
        backend = yoyo.get_backend(_for_yoyo(url))
        try:
            known = yoyo.read_migrations(str(resources.files("roadstead.db") / "migrations"))
            missing = backend.to_apply(known)
            names = [migration.id for migration in missing]
            with backend.lock():
                backend.apply_migrations(missing)
        finally:
            backend.connection.close()
    return names


def _for_yoyo(url: str) -> str:
    """The same database as yoyo spells it; everything is made by, and belongs to, the owner role in our schema."""
    known = conninfo_to_dict(url)
    user, password = (quote(str(known.pop(name, None) or ""), safe="") for name in ("user", "password"))
    database = known.pop("dbname", None) or "postgres"
    known["options"] = f"{known.get('options') or ''} -c role=roadstead_owner -c search_path={SCHEMA}".strip()
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return f"postgresql+psycopg://{login}/{quote(str(database))}?{urlencode(known)}"
