"""Guizzo, Weyde, Tarroni and Comminiello, "Quaternion anti-transfer learning for speech emotion
recognition", WASPAA 2023: what its Table 1 reports.
"""

# Corpus -> (network, method, accuracy in % and layer of the random split, the same by actor). The
# layer is the one with the best validation accuracy.
_TABLE_1 = {
    "iemocap": (
        ("vgg16", "none", 62.87, None, 58.29, None),
        ("vgg16", "single-s", 72.86, 11, 59.27, 10),
        ("vgg16", "single-w", 70.09, 1, 59.35, 11),
        ("vgg16", "dual-sw", 73.04, 11, 60.41, 9),
        ("vgg16", "dual-ws", 71.07, 8, 59.67, 8),
        ("quat_vgg16", "none", 71.1, None, 57.8, None),
        ("quat_vgg16", "single-s", 72.23, 11, 58.37, 12),
        ("quat_vgg16", "single-w", 73.57, 2, 57.97, 13),
        ("quat_vgg16", "dual-sw", 71.25, 5, 58.46, 12),
        ("quat_vgg16", "dual-ws", 72.14, 4, 58.62, 9),
    ),
    "ravdess": (
        ("vgg16", "none", 41.06, None, 45.0, None),
        ("vgg16", "single-s", 49.56, 2, 46.67, 9),
        ("vgg16", "single-w", 42.89, 9, 41.67, 1),
        ("vgg16", "dual-sw", 45.56, 2, 40.62, 2),
        ("vgg16", "dual-ws", 46.22, 1, 43.75, 9),
        ("quat_vgg16", "none", 49.85, None, 36.67, None),
        ("quat_vgg16", "single-s", 57.11, 2, 51.67, 2),
        ("quat_vgg16", "single-w", 55.11, 12, 48.33, 13),
        ("quat_vgg16", "dual-sw", 57.78, 3, 55.0, 2),
        ("quat_vgg16", "dual-ws", 60.44, 11, 46.67, 2),
    ),
    "tess": (
        ("vgg16", "none", 97.62, None, 14.29, None),
        ("vgg16", "single-s", 99.64, 3, 13.29, 4),
        ("vgg16", "single-w", 99.64, 3, 26.43, 4),
        ("vgg16", "dual-sw", 100.0, 3, 21.0, 2),
        ("vgg16", "dual-ws", 100.0, 3, 25.57, 6),
        ("quat_vgg16", "none", 97.62, None, 13.86, None),
        ("quat_vgg16", "single-s", 97.86, 1, 19.43, 11),
        ("quat_vgg16", "single-w", 98.57, 11, 18.29, 4),
        ("quat_vgg16", "dual-sw", 98.93, 2, 19.0, 11),
        ("quat_vgg16", "dual-ws", 97.86, 9, 18.29, 3),
    ),
}


def table_1(corpus: str) -> dict[tuple[str, str, str], tuple[float, int | None]]:
    """(model, method, split) -> accuracy in % and layer; empty for a corpus it does not have."""
    table: dict[tuple[str, str, str], tuple[float, int | None]] = {}
    for model, method, random, random_layer, speaker, speaker_layer in _TABLE_1.get(corpus, ()):
        table[model, method, "random"] = random, random_layer
        table[model, method, "speaker"] = speaker, speaker_layer
    return table
