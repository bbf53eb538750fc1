"""`roadstead ca`: the platform's own certificate authority."""

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from roadstead.cli.database import do
from roadstead.cli.failures import CommandFailed
from roadstead.cli.output import AsJson, say, show_list
from roadstead.core import provisioning
from roadstead.core.provisioning import Authority
from roadstead.core.work import Entry
from roadstead.kernel import time

app = App(name="ca", help="Show the certificate authority, keep its root's key elsewhere.", help_epilogue="")

KeyFile = Annotated[Path, Parameter(help="File of the private key, PEM.")]


@app.command
def show(*, as_json: AsJson = False) -> None:
    """Show root and intermediate: names, validity, fingerprints, and whose key is here."""
    columns = {
        "": "kind",
        "subject": "subject",
        "valid from": "notBefore",
        "until": "notAfter",
        "key is here": "hasKey",
        "SHA-256": "fingerprint",
    }
    rows = [_spell(one) for one in do(provisioning.list_authorities)]
    show_list(rows, columns, as_json=as_json, empty="there is none yet: the first start makes one")


@app.command
def export_root(file: KeyFile, /) -> None:
    """Write the root's private key to a new file and remove it from the database.

    Devices get certificates as before: the intermediate signs them. Giving the intermediate a later end, which happens
    by itself about a year before its end, needs the key again.
    """

    async def export(entry: Entry) -> None:
        # On the disk before the database forgets it: a crash in between leaves it at two places, never at none.
        _write(file, await provisioning.take_root_offline(entry))

    do(export)
    say(f"the root's key is in {file}, and only there: keep it safe, and offline")
    say("backups of the database that were made before have it too, sealed with the master key")


@app.command
def import_root(file: KeyFile, /) -> None:
    """Take the root's private key back into the database, sealed with the master key. The file stays."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error
    do(lambda entry: provisioning.bring_root_back(entry, text))
    say("the root's key is in the database again")


def _write(file: Path, text: str) -> None:
    """A new file that only its owner may read, from the first byte on."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be made: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    directory = os.open(file.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _spell(one: Authority) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "subject": one.subject,
        "notBefore": time.spell_instant(one.not_before),
        "notAfter": time.spell_instant(one.not_after),
        "hasKey": one.has_key,
        "fingerprint": one.fingerprint.hex(),
        "certificate": one.certificate,
    }
