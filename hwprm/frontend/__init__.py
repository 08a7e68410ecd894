"""Networks in: `torch.nn.Module`, torch.export file or ONNX model to `hwprm.graph.Graph`."""

from hwprm.frontend.convert import check, to_graph, traced
from hwprm.frontend.findings import Finding, Severity
from hwprm.frontend.load import export, load, load_pt2
from hwprm.frontend.normalise import normalised
from hwprm.frontend.weights import fill, read_weights

__all__ = [
    "Finding",
    "Severity",
    "check",
    "export",
    "fill",
    "load",
    "load_pt2",
    "normalised",
    "read_weights",
    "to_graph",
    "traced",
]
