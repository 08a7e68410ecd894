"""Every option, as frozen, checked dataclasses: one file per section, no torch, no numpy arrays."""

from hwprm.config.admm import AdmmConfig, LayerBudget
from hwprm.config.array import ArrayConfig
from hwprm.config.board import BoardConfig
from hwprm.config.data import DataConfig
from hwprm.config.emit import EmitConfig
from hwprm.config.explore import ExploreConfig
from hwprm.config.finetune import FinetuneConfig
from hwprm.config.memory import MemoryConfig
from hwprm.config.prune import PruneOptions
from hwprm.config.purify import PurifyConfig
from hwprm.config.qat import QatConfig, QatOptions
from hwprm.config.quantize import QuantizeConfig
from hwprm.config.repro import ReproConfig
from hwprm.config.run import RunConfig
from hwprm.config.settings import SECTIONS, Settings, load_settings
from hwprm.config.shrink import ShrinkConfig
from hwprm.config.silicon import SiliconConfig
from hwprm.config.train import TrainConfig
from hwprm.config.verify import VerifyConfig
from hwprm.config.weights import WeightsConfig
from hwprm.config.widths import WidthsConfig

__all__ = [
    "SECTIONS",
    "AdmmConfig",
    "ArrayConfig",
    "BoardConfig",
    "DataConfig",
    "EmitConfig",
    "ExploreConfig",
    "FinetuneConfig",
    "LayerBudget",
    "MemoryConfig",
    "PruneOptions",
    "PurifyConfig",
    "QatConfig",
    "QatOptions",
    "QuantizeConfig",
    "ReproConfig",
    "RunConfig",
    "Settings",
    "ShrinkConfig",
    "SiliconConfig",
    "TrainConfig",
    "VerifyConfig",
    "WeightsConfig",
    "WidthsConfig",
    "load_settings",
]
