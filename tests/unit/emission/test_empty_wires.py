"""Declarations of signals of no bits leave the Verilog, module by module."""

from hwprm.emission.core import drop_empty_wires


def test_unused_goes_though_another_module_has_a_wire_of_that_name():
    other = "module b;\n  wire \\$1 ;\n  assign \\$1  = 1'h0;\nendmodule\n"
    text = "module a;\n  wire [-1:0] \\$1 ;\n  wire x;\nendmodule\n" + other
    assert drop_empty_wires(text) == "module a;\n  wire x;\nendmodule\n" + other


def test_used_stays():
    text = "module a;\n  wire [-1:0] \\$1 ;\n  assign y = \\$1  ;\nendmodule\n"
    assert drop_empty_wires(text) == text
