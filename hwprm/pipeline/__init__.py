"""The main job and the rows of the papers as tuples of named steps, each with a kept artefact."""

from hwprm.config.presets import demo_settings
from hwprm.pipeline.rows import repro
from hwprm.pipeline.run import demo, run_demo
from hwprm.pipeline.step import Silent

__all__ = ["Silent", "demo", "demo_settings", "repro", "run_demo"]
