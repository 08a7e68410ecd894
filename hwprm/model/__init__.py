"""Networks between the verbs: `Model` with its stage and history, and the `Plan` of what pruning kept."""

from hwprm.model.history import History
from hwprm.model.model import MASKED, Model, Stage
from hwprm.model.plan import LayerPlan, Plan, load_export, mask_of, save_export
from hwprm.model.route import steps_from

__all__ = [
    "MASKED",
    "History",
    "LayerPlan",
    "Model",
    "Plan",
    "Stage",
    "load_export",
    "mask_of",
    "save_export",
    "steps_from",
]
