"""Exports: files with what a part of the fleet has reported, made in the background."""

from roadstead.core.exports.jobs import JOBS, add_piece, begin_export, list_pieces, sweep_pieces
from roadstead.core.exports.model import (
    Content,
    Export,
    ExportDraft,
    ExportQuery,
    ExportStatus,
    Field,
    FileFormat,
    Job,
    Piece,
    Plan,
    ScopeType,
    file_name,
    piece_name,
)
from roadstead.core.exports.scopes import Strand, StrandPage, iterate_strands
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
    "Piece",
    "Plan",
    "ScopeType",
    "Strand",
    "StrandPage",
    "add_piece",
    "begin_export",
    "cancel_export",
    "create_export",
    "delete_export",
    "file_name",
    "get_download_url",
    "get_export",
    "iterate_strands",
    "list_exports",
    "list_pieces",
    "piece_name",
    "request_file",
    "sweep_pieces",
]
