"""What is read off a compiled step: against programs whose all-reduces are known."""

import importlib

import pytest

# Two products, one after the other, the gradient of the second known before that of the first.
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


@pytest.fixture
def all_reduces():
    return importlib.import_module("benchmarks.communication").all_reduces


def test_bytes_and_products_that_do_not_wait(all_reduces):
    last, both = all_reduces(PROGRAM)
    assert (last.shapes, last.nbytes) == ([(8, 8)], 4 * 64)
    # Of four products it waits for the forward one and its own; `of_all` waits for every one.
    assert last.unrelated == pytest.approx(2 / 4)
    assert (both.shapes, both.nbytes) == ([(2, 3), ()], 2 * 6 + 1)
    assert both.unrelated == 0


def test_a_program_without_any(all_reduces):
    assert all_reduces(PROGRAM.replace("all-reduce(", "copy(")) == []
