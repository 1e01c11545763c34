"""The analysis of compiled steps, compared with programs whose all-reduces are known."""

import pytest

from benchmarks.communication import all_reduces

# Two products, one after the other; the gradient of the second is computed before that of the
# first.
PROGRAM = """HloModule jit_step, entry_computation_layout={(f32[4,8]{1,0})->f32[]}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%product (a: f32[4,8], b: f32[8,8]) -> f32[4,8] {
  %a = f32[4,8]{1,0} parameter(0)
  %b = f32[8,8]{1,0} parameter(1)
  ROOT %ab = f32[4,8]{1,0} dot(%a, %b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (input: f32[4,8], weight: f32[8,8]) -> (f32[8,8], bf16[2,3]) {
  %input = f32[4,8]{1,0} parameter(0)
  %weight = f32[8,8]{1,0} parameter(1)
  %forward = f32[4,8]{1,0} fusion(%input, %weight), kind=kOutput, calls=%product
  %last = f32[8,8]{1,0} dot(%forward, %forward), lhs_contracting_dims={0}, rhs_contracting_dims={0}
  %back = f32[4,8]{1,0} fusion(%forward, %weight), kind=kOutput, calls=%product
  %first = bf16[2,3]{1,0} dot(%back, %input), metadata={op_name="transpose(last)/first"}
  %of_last = f32[8,8]{1,0} all-reduce(%last), replica_groups={{0,1}}, to_apply=%add
  %of_all = (bf16[2,3]{1,0}, pred[]) all-reduce(%first, %of_last), to_apply=%add
  ROOT %out = (f32[8,8]{1,0}, bf16[2,3]{1,0}) tuple(%of_last, %first)
}
"""


def test_bytes_and_independent_products_are_counted():
    last, both = all_reduces(PROGRAM)
    assert (last.shapes, last.nbytes) == ([(8, 8)], 4 * 64)
    # It depends on two of the four products, forward and its own; `of_all` depends on all four.
    assert last.independent_fraction == pytest.approx(2 / 4)
    assert (both.shapes, both.nbytes) == ([(2, 3), ()], 2 * 6 + 1)
    assert both.independent_fraction == 0


def test_a_program_without_all_reduces_has_none():
    assert all_reduces(PROGRAM.replace("all-reduce(", "copy(")) == []
