"""PyTorch networks in: `torch.nn.Module` or torch.export file to `hwprm.graph.Graph`."""

from hwprm.frontend.convert import check, to_graph
from hwprm.frontend.findings import Finding, Severity
from hwprm.frontend.load import export, load_pt2

__all__ = ["Finding", "Severity", "check", "export", "load_pt2", "to_graph"]
