import pytest

from benchmarks import targets


def results_of(suite, rows, dtype="float32", product=1e12):
    peaks = {"float32": product, "bfloat16": product, "copy": 1e10}
    return {"suite": suite, "dtype": dtype, "device_peaks": peaks, "rows": rows}


def assess(quantity, *results):
    """Returns the result and the verdict of the target whose quantity begins so."""
    (row,) = [row for row in targets.table(results) if row[0].startswith(quantity)]
    return row[3:]


@pytest.mark.parametrize(
    ("time", "memory", "expected"),
    [(0.04, 0.15, "reached"), (0.04, 0.16, "missed"), (0.06, 0.1, "missed")],
)
def test_quaternion_vgg16_is_assessed_by_time_and_memory(time, memory, expected):
    row = {
        "model": "vgg16",
        "form": "quaternion",
        "step_vs_real": time,
        "step_vs_real_samples": [time] * 8,
        "memory_vs_real": memory,
    }
    result, verdict = assess("quaternion VGG16", results_of("models", [row]))
    assert verdict == expected
    assert f"{100 * time - 100:.1f}" in result
    assert f"{100 * memory - 100:.1f} % memory" in result


def test_an_interval_that_spans_the_target_has_not_reached_it():
    row = {"model": "vgg16", "form": "quaternion", "step_vs_real": 0.04, "memory_vs_real": 0.1}
    row["step_vs_real_samples"] = [0.04] * 6 + [0.06] * 4
    assert assess("quaternion VGG16", results_of("models", [row]))[1] == "missed"


def test_products_of_a_convolution_are_counted_for_the_largest():
    rows = [
        {"layer": "conv 3 x 3", "form": form, "input": size, "outputs": 64, "gflop": gflop}
        for size, real, eight in (("small", 1.0, 0.6), ("large", 16.0, 8.1))
        for form, gflop in (("real", real), ("eight", eight))
    ]
    result, verdict = assess("real products", results_of("kernels", rows))
    assert result.startswith("8.10 by the compiler's count, input large")
    assert verdict == "reached"


def test_a_training_step_is_compared_with_pytorch_over_all_models():
    rows = [
        {"model": model, "form": form, "step_ms": ms, "step_ms_samples": [ms] * 8}
        for model, serjax, compiled in (("a", 1.0, 1.0), ("b", 1.0, 4.0))
        for form, ms in (("real", serjax), ("PyTorch, compiled", compiled), ("PyTorch", 9.0))
    ]
    rows[-1] |= {"step_ms": 2.25, "step_ms_samples": [2.25] * 8}  # slowed down by the compiler
    assert assess("one training step", results_of("models", rows)) == [
        "1.5 [1.5, 1.5] x faster, float32, a, b",  # the root of 1 x 2.25
        "reached",
    ]
    mixed = [{**row, "step_ms": 1.0, "step_ms_samples": [1.0] * 8} for row in rows]
    both = (results_of("models", rows), results_of("models", mixed, "bfloat16"))
    assert assess("one training step", *both) == [
        "1 [1, 1] x faster, bfloat16, a, b",
        "missed",
    ]


def test_matrix_units_are_assessed_by_the_measured_product():
    row = {"model": "vgg16", "form": "real", "step_gflop": 300.0, "step_ms_samples": [500.0] * 8}
    for product, verdict in ((1e12, "reached"), (2e12, "missed")):  # 600 GFLOP/s
        results = results_of("models", [row], "bfloat16", product)
        assert assess("matrix units", results)[1] == verdict
    assert assess("matrix units", results_of("models", [row]))[1] == "not measured"


def test_log_mel_is_compared_with_the_fastest_baseline():
    rows = [
        {
            "feature": "log-mel",
            "batch": 1,
            "form": form,
            "ms": ms,
            "time_vs_serjax_samples": [ms] * 8,
        }
        for form, ms in (("serjax", 1.0), ("librosa", 9.0), ("torchaudio", 1.5))
    ]
    result, verdict = assess("log-mel", results_of("features", rows))
    assert result.startswith("1.5 [1.5, 1.5] x faster than torchaudio")
    assert result.endswith("without nnAudio")
    assert verdict == "missed"


def test_anti_transfer_is_assessed_by_the_mean_of_its_layers():
    def row(layer, time, memory):
        times = {"time_vs_none": time, "time_vs_none_samples": [time] * 8}
        return {"form": "cached", "layer": layer, **times, "memory_vs_none": memory}

    rows = [row("conv1", 1.0, 1.0), row("conv2", 1.1, 1.02)]
    result, verdict = assess("anti-transfer", results_of("anti_transfer", rows))
    assert "1.05 [1.05, 1.05] x time, 1.01 x memory" in result
    assert "at most 1.1 x time (conv2), 1.02 x memory" in result
    assert verdict == "reached"
