"""Files: kept in the blob store under the organization they belong to, reached by signed URLs."""

from roadstead.core.files.jobs import FileJobs, delete_files
from roadstead.core.files.model import (
    DOWNLOAD,
    UPLOAD,
    CannotBeMade,
    Download,
    JobClaim,
    SignedUrl,
    Upload,
    Uploaded,
    UploadUrl,
)
from roadstead.core.files.service import (
    blob_key,
    claim_upload,
    delete_values,
    download_url,
    finish_upload,
    open_download,
    open_upload,
    receive,
    sweep_uploads,
    upload_url,
    values_area,
)

__all__ = [
    "DOWNLOAD",
    "UPLOAD",
    "CannotBeMade",
    "Download",
    "FileJobs",
    "JobClaim",
    "SignedUrl",
    "Upload",
    "UploadUrl",
    "Uploaded",
    "blob_key",
    "claim_upload",
    "delete_files",
    "delete_values",
    "download_url",
    "finish_upload",
    "open_download",
    "open_upload",
    "receive",
    "sweep_uploads",
    "upload_url",
    "values_area",
]
