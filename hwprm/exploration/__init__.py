"""Co-design exploration: spaces of options, exhaustive sweeps and joint searches, studies and their fronts."""

from hwprm.exploration.build import Built, build_point
from hwprm.exploration.driver import explore
from hwprm.exploration.points import Point
from hwprm.exploration.study import Study

__all__ = ["Built", "Point", "Study", "build_point", "explore"]
