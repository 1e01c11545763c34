import re

import jax
import numpy as np


def test_the_page_shows_the_results_and_loads_nothing(command, install_suite, tmp_path):
    install_suite({"real": np.arange(1.0, 6.0), "quaternion": np.full(5, 2.0)})
    assert command("--rounds", 5, "--out", tmp_path) == 0
    page = (tmp_path / "report.html").read_text()
    assert "<td>3.00 [2.00, 4.00]</td>" in page
    assert "Description of &lt;it&gt;." in page
    assert set(re.findall(r"(?:src|srcset|href)='(.{22})", page)) == {"data:image/png;base64,"}
    assert "http://" not in page
    assert "https://" not in page


def test_results_are_written_as_markdown(command, install_suite, tmp_path):
    install_suite({"real": np.arange(1.0, 6.0), "quaternion": np.full(5, 2.0)})
    assert command("--rounds", 5, "--out", tmp_path) == 0
    results = (tmp_path / "results.md").read_text()
    assert "| a | real | 3.00 [2.00, 4.00] | 0.333 |" in results
    assert results.count("| not measured |") == 9
    assert f"jax {jax.__version__}" in results
