"""Exports: files with what a part of the fleet has reported, made in the background."""

from roadstead.core.exports.jobs import JOBS, load_job
from roadstead.core.exports.model import (
    Content,
    Export,
    ExportDraft,
    ExportQuery,
    ExportStatus,
    Field,
    FileFormat,
    Job,
    ScopeType,
    file_name,
)
from roadstead.core.exports.scopes import Scope, Strand, iterate_strands, load_scope
from roadstead.core.exports.service import (
    cancel_export,
    create_export,
    delete_export,
    get_download_url,
    get_export,
    list_exports,
    request_file,
)

__all__ = [
    "JOBS",
    "Content",
    "Export",
    "ExportDraft",
    "ExportQuery",
    "ExportStatus",
    "Field",
    "FileFormat",
    "Job",
    "Scope",
    "ScopeType",
    "Strand",
    "cancel_export",
    "create_export",
    "delete_export",
    "file_name",
    "get_download_url",
    "get_export",
    "iterate_strands",
    "list_exports",
    "load_job",
    "load_scope",
    "request_file",
]
