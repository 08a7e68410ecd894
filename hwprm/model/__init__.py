"""Networks between the verbs: `Model` with its stage and history, and the `Plan` of what pruning kept."""

from hwprm.model.model import MASKED, Model, Stage
from hwprm.model.plan import LayerPlan, Plan, load_export, mask_of, save_export

__all__ = ["MASKED", "LayerPlan", "Model", "Plan", "Stage", "load_export", "mask_of", "save_export"]
