"""Reports made to order."""

from __future__ import annotations

from hwprm.verification import Case, VerifyReport

__all__ = ["report"]


def report(*failures: str | None, values: int = 8) -> VerifyReport:
    cases = tuple(
        Case(
            simulator="icarus",
            mode="bulk",
            name=f"case {i}",
            values=4,
            wrong=int(bool(text)),
            seconds=0.25,
            failure=text,
            properties=(("cycles_predicted", "7"),),
        )
        for i, text in enumerate(failures)
    )
    return VerifyReport(
        net="net",
        design_hash="5a" * 32,
        simulators=("icarus 11.0",),
        images=2,
        image_source="2 stored",
        seed=5,
        values_compared=values,
        mismatches=sum(case.wrong for case in cases),
        cycles_predicted=7,
        cycles_simulated=7,
        layer_cycles_predicted=(("a", 7),),
        layer_cycles_simulated=(("a", 7),),
        cases=cases,
        waves=(),
        seconds=1.0,
    )
