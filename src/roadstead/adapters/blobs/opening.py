"""Which store a URL means."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from obstore.exceptions import BaseError
from obstore.store import from_url

from roadstead.adapters.blobs.bucket import BucketBlobs
from roadstead.adapters.blobs.folder import FolderBlobs
from roadstead.core.ports import Blobs

_BUCKETS = {"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"}


def open_blobs(url: str, folder: Path) -> Blobs:
    """The store of a URL, or `folder` (made when it is missing) without one. Connects when it is used.

    `file:///path`, `s3://bucket/prefix?region=...&endpoint=...`, `gs://bucket/prefix`,
    `az://container/prefix?account_name=...`. What stands behind `?` is handed to the store by name (`access_key_id`,
    `secret_access_key`, ...); what does not stand there comes from the environment, as the tools of each cloud have it
    (`AWS_ACCESS_KEY_ID`, ...). Raises ValueError that says what is wrong and repeats no secret.
    """
    parts = urlsplit(url)
    if not url:
        return FolderBlobs(folder)
    if parts.scheme == "file" and parts.path and not parts.query:
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme not in _BUCKETS or not parts.netloc:
        raise ValueError("a blob URL looks like s3://bucket/prefix?region=..., gs://bucket, az://container or file:///")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    client = {"allow_http": options.get("endpoint", "").startswith("http://"), "timeout": "60 seconds"}
    retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=20)}
    try:
        store = from_url(
            urlunsplit(parts._replace(query="")),
            config=options,  # type: ignore[call-overload]
            client_options=client,
            retry_config=retries,
        )
    except (BaseError, ValueError) as error:
        # The library adds the whole configuration, secrets included, on further lines.
        raise ValueError(f"the blob URL cannot be used: {str(error).splitlines()[0]}") from None
    return BucketBlobs(store)
