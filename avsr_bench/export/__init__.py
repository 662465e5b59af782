"""A run leaves the house: as an ONNX file for other runtimes, or as sparse weights that take less room."""

from .onnx import OnnxExport, export_onnx
from .sparse import SparseExport, export_sparse

__all__ = ["OnnxExport", "SparseExport", "export_onnx", "export_sparse"]
