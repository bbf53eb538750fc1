"""Files by key: in a folder, or in a bucket of S3, Google or Azure."""

from roadstead.adapters.blobs.bucket import BucketBlobs
from roadstead.adapters.blobs.folder import FolderBlobs
from roadstead.adapters.blobs.opening import open_blobs

__all__ = ["BucketBlobs", "FolderBlobs", "open_blobs"]
