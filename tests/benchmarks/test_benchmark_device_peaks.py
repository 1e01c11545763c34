def test_peaks_are_rates_of_a_product_and_a_copy(peaks):
    # Any machine of this century is faster than the lower bound, and none reaches the upper one.
    for rate in (
        peaks.operations_per_second("float32"),
        peaks.operations_per_second("bfloat16"),
        peaks.copy,
    ):
        assert 1e6 < rate < 1e17
    assert "GB/s" in peaks.describe()
