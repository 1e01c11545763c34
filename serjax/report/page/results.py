"""Sections of the report page on the results on the test set."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from serjax.report.files.predictions import Predictions
from serjax.report.page import html
from serjax.report.page.formatting import count, percent
from serjax.report.tables.summary import METRIC_NAMES

_METRICS = (
    ("ua", "UA", "mean recall of the classes"),
    ("wa", "WA", "fraction of correct utterances"),
    ("f1_macro", "F1", "mean F1 of the classes"),
)
_MOST_SPEAKERS = 12


def headline(metrics: Mapping[str, Any]) -> str:
    """Shows the metrics of the test set, each above its interval on a scale from 0 to 100 %.

    Args:
        metrics: Content of `metrics.json`.

    Returns:
        HTML of the section.
    """
    test = metrics["test"]
    supports = [metrics["per_class"][name]["support"] for name in metrics["classes"]]
    present = sum(support > 0 for support in supports)
    chance = {
        "ua": 1 / present if present else 0.0,
        "wa": max(supports, default=0) / max(sum(supports), 1),
    }
    tiles = []
    for key, name, meaning in (*_METRICS, *_registered(test)):
        value, low, high = (test[key][end] for end in ("value", "low", "high"))
        mark = (
            f"<i class='chance' style='left:{100 * chance[key]:.2f}%'></i>" if key in chance else ""
        )
        tiles.append(
            f"<div class='tile'><h3>{name} <small>{meaning}</small></h3>"
            f"<p class='value'>{percent(value)}<span>%</span></p>"
            f"<p class='interval'>{percent(low)} – {percent(high)}</p>"
            f"<div class='scale' aria-hidden='true'>{mark}"
            f"<i class='range' style='left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%'></i>"
            f"<i class='point' style='left:{100 * value:.2f}%'></i></div></div>"
        )
    facts = [f"{test['utterances']:,} test utterances"]
    if "speakers" in test:
        facts[0] += f" of {count(test['speakers'], 'speaker')}"
    if "loss" in test:
        facts.append(f"loss {test['loss']:.3f} nats")
    facts.append(
        f"chance, the grey mark: UA {percent(chance['ua'])} % ({present} classes), "
        f"WA {percent(chance['wa'])} % (always the most frequent class)"
    )
    interval = metrics.get("interval", {})
    over = f" over {interval['over']}" if "over" in interval else ""
    facts.append(f"ranges are {100 * interval.get('level', 0.95):g} % bootstrap intervals{over}")
    validation = ""
    if "validation" in metrics:
        scores = metrics["validation"]
        values = ", ".join(
            f"<span class='whole'>{name} {percent(scores[key]['value'])} % "
            f"({percent(scores[key]['low'])} – {percent(scores[key]['high'])})</span>"
            for key, name, _ in _METRICS
        )
        validation = f"<p>Validation, {scores['utterances']:,} utterances: {values}.</p>"
    sentences = "; ".join(facts)
    return (
        f"<section class='headline'>\n<div class='tiles'>{''.join(tiles)}</div>\n"
        f"<div class='note'><p>{html.escape(sentences[0].upper() + sentences[1:])}.</p>{validation}"
        "</div>\n</section>\n"
    )


def _registered(test: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns the metrics that a user registered: key, title, and no further words."""
    built_in = ("wa", "ua", "f1_macro", "f1_weighted")
    return [
        (key, html.escape(title), "")
        for key, title in METRIC_NAMES.items()
        if key in test and key not in built_in
    ]


def runs(summary: Mapping[str, Any]) -> str:
    """Shows the metrics of each run of a set, their mean and standard deviation.

    Args:
        summary: Content of `summary.json`; empty for a single run.

    Returns:
        HTML of the section; empty for a single run.
    """
    if not summary:
        return ""
    columns = list(summary["mean"])
    rows = [
        (row["run"], *(percent(row[key]) for key in columns), f"{row['utterances']:,}")
        for row in summary["runs"]
    ]
    for name, key in (("mean", "mean"), ("standard deviation", "standard_deviation")):
        rows.append((name, *(percent(summary[key][column]) for column in columns), ""))
    heads = [f"{METRIC_NAMES.get(column, column)} %" for column in columns]
    return html.section("Runs", html.table(("run", *heads, "utterances"), rows))


def per_class(metrics: Mapping[str, Any]) -> str:
    """Shows precision, recall and F1 of each class.

    Args:
        metrics: Content of `metrics.json`.

    Returns:
        HTML of the table.
    """
    rows = []
    for name in metrics["classes"]:
        row = metrics["per_class"][name]
        # A class without utterances has no recall; 0 would look like a failure.
        recall = percent(row["recall"]) if row["support"] else "–"
        cells = (percent(row["precision"]), recall, percent(row["f1"]))
        rows.append((name, *cells, f"{row['support']:,}"))
    return html.table(("class", "precision %", "recall %", "F1 %", "utterances"), rows)


def speakers(test: Predictions) -> str:
    """Shows the speakers with the lowest WA, which a mean over all speakers hides.

    Args:
        test: Predictions for the test set.

    Returns:
        HTML of the section; empty for fewer than two speakers.
    """
    correct = test.true == test.predicted
    rows = []
    for name in sorted(set(test.speakers)):
        of_speaker = np.array([speaker == name for speaker in test.speakers])
        rows.append((name, float(correct[of_speaker].mean()), int(of_speaker.sum())))
    if len(rows) < 2:
        return ""
    rows.sort(key=lambda row: row[1])
    cells = [(name, percent(wa), f"{size:,}") for name, wa, size in rows[:_MOST_SPEAKERS]]
    shown = f"the {_MOST_SPEAKERS} lowest of {len(rows)}" if len(rows) > len(cells) else "all"
    return html.section(
        "Speakers",
        f"<p class='note'>Lowest first, {shown}.</p>",
        html.table(("speaker", "WA %", "utterances"), cells),
    )
