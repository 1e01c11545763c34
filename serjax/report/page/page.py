"""The report page: one file that shows a run, opens anywhere and asks the network for nothing."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from serjax.files import PathLike, write_text_atomic
from serjax.report.files.records import (
    Predictions,
    read_config,
    read_history,
    read_metrics,
    read_predictions,
    read_summary,
    read_timing,
)
from serjax.report.page import html
from serjax.report.page.hardest import HardUtterance, hardest_utterances
from serjax.report.plots.figures import plot_confusion, plot_curves, spectrogram_png
from serjax.report.tables.summary import METRIC_NAMES

_METRICS = (
    ("ua", "UA", "mean recall of the classes"),
    ("wa", "WA", "share of utterances right"),
    ("f1_macro", "F1", "mean F1 of the classes"),
)
# What some runs draw besides, and under which heading the page shows it.
_PICTURES = {"reconstruction.png": "Reconstructions", "embedding.png": "Embedding"}
_MOST_SPEAKERS = 12
_MOST_BARS = 5


def write_page(run_dir: PathLike, *, hardest: Sequence[HardUtterance] | None = None) -> Path:
    """Writes `report.html`, and the figures `curves.png`, `confusion.png` and `confusion.pdf`.

    A run without `history.csv` has no curves. `reconstruction.png` and `embedding.png` are shown
    where the folder has them.

    The page holds its style and its images, and runs no script. It follows the reader's light or
    dark scheme and prints. The same files give the same page.

    Args:
        run_dir: A run folder (see `serjax.report.files.records`).
        hardest: The utterances to show, `hardest_utterances` with their spectrograms and audio; by
            default those without.

    Returns:
        The path of `report.html`.

    Raises:
        ValueError: A file of the folder is missing or malformed.
    """
    run_dir = Path(run_dir)
    config = read_config(run_dir / "config.json")
    # Only networks have a history.
    history_path = run_dir / "history.csv"
    history = read_history(history_path) if history_path.exists() else []
    metrics = read_metrics(run_dir / "metrics.json")
    predictions = read_predictions(run_dir / "predictions.csv")
    if hardest is None:
        hardest = hardest_utterances(predictions)

    best_epoch = metrics.get("best_epoch")
    confusion, classes = metrics["confusion"], metrics["classes"]
    matrix = (
        plot_confusion(confusion, classes, [run_dir / "confusion.png", run_dir / "confusion.pdf"]),
        plot_confusion(confusion, classes, dark=True),
    )
    title = f"{config['model']['name']} on {config['data']['dataset']}"
    if config["data"].get("test_dataset"):
        title += f", tested on {config['data']['test_dataset']}"
    body = [
        _header(title, config, metrics),
        _headline(metrics),
        _runs(read_summary(run_dir / "summary.json")),
        _training(history, run_dir, best_epoch),
        html.section(
            "Confusion",
            html.picture(*matrix, "Confusion matrix of the test utterances"),
        ),
        *(
            html.section(
                heading,
                f"<div class='scroll'>{html.image((run_dir / name).read_bytes(), heading)}</div>",
            )
            for name, heading in _PICTURES.items()
            if (run_dir / name).exists()
        ),
        html.section("Classes", _per_class(metrics)),
        _speakers(predictions.of_split("test")),
        html.section("Hardest utterances", _hardest(hardest)),
        html.section("Configuration", _configuration(config)),
        _notes(config.get("notes", [])),
        _time(read_timing(run_dir / "timing.json")),
        _command(config.get("command")),
    ]
    path = run_dir / "report.html"
    write_text_atomic(path, html.document(title, body))
    return path


def _header(title: str, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    facts = [f"{config['data']['split']} split"]
    if "parameters" in metrics:
        facts.append(f"{metrics['parameters']:,} parameters")
    if "seed" in config:
        facts.append(f"seed {config['seed']}")
    if "device" in config:
        facts.append(str(config["device"]))
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"<header>\n<h1>{escape(title)}</h1>\n<ul class='facts'>{listed}</ul>\n</header>\n"


def _headline(metrics: Mapping[str, Any]) -> str:
    """The test part's metrics, each above its interval on a scale from 0 to 100 %."""
    test = metrics["test"]
    supports = [metrics["per_class"][name]["support"] for name in metrics["classes"]]
    present = sum(support > 0 for support in supports)
    chance = {
        "ua": 1 / present if present else 0.0,
        "wa": max(supports, default=0) / max(sum(supports), 1),
    }
    tiles = []
    for key, name, meaning in _METRICS:
        value, low, high = (test[key][end] for end in ("value", "low", "high"))
        mark = (
            f"<i class='chance' style='left:{100 * chance[key]:.2f}%'></i>" if key in chance else ""
        )
        tiles.append(
            f"<div class='tile'><h3>{name} <small>{meaning}</small></h3>"
            f"<p class='value'>{_percent(value)}<span>%</span></p>"
            f"<p class='interval'>{_percent(low)} – {_percent(high)}</p>"
            f"<div class='scale' aria-hidden='true'>{mark}"
            f"<i class='range' style='left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%'></i>"
            f"<i class='point' style='left:{100 * value:.2f}%'></i></div></div>"
        )
    about = [f"{test['utterances']:,} test utterances"]
    if "speakers" in test:
        about[0] += f" of {_count(test['speakers'], 'speaker')}"
    if "loss" in test:
        about.append(f"loss {test['loss']:.3f} nats")
    about.append(
        f"chance, the grey mark: UA {_percent(chance['ua'])} % ({present} classes), "
        f"WA {_percent(chance['wa'])} % (always the most frequent class)"
    )
    interval = metrics.get("interval", {})
    over = f" over {interval['over']}" if "over" in interval else ""
    about.append(f"ranges are {100 * interval.get('level', 0.95):g} % bootstrap intervals{over}")
    validation = ""
    if "validation" in metrics:
        part = metrics["validation"]
        values = ", ".join(
            f"<span class='whole'>{name} {_percent(part[key]['value'])} % "
            f"({_percent(part[key]['low'])} – {_percent(part[key]['high'])})</span>"
            for key, name, _ in _METRICS
        )
        validation = f"<p>Validation, {part['utterances']:,} utterances: {values}.</p>"
    sentences = "; ".join(about)
    return (
        f"<section class='headline'>\n<div class='tiles'>{''.join(tiles)}</div>\n"
        f"<div class='note'><p>{escape(sentences[0].upper() + sentences[1:])}.</p>{validation}"
        "</div>\n</section>\n"
    )


def _runs(summary: Mapping[str, Any]) -> str:
    """The runs of a series, and how they scatter."""
    if not summary:
        return ""
    columns = list(summary["mean"])
    rows = [
        (row["run"], *(_percent(row[key]) for key in columns), f"{row['utterances']:,}")
        for row in summary["runs"]
    ]
    for name, key in (("mean", "mean"), ("standard deviation", "standard_deviation")):
        rows.append((name, *(_percent(summary[key][column]) for column in columns), ""))
    heads = [f"{METRIC_NAMES[column]} %" for column in columns]
    return html.section("Runs", html.table(("run", *heads, "utterances"), rows))


def _training(history: Sequence[Mapping[str, float]], run_dir: Path, best_epoch: int | None) -> str:
    if not history:
        return ""
    curves = (
        plot_curves(history, run_dir / "curves.png", best_epoch),
        plot_curves(history, None, best_epoch, dark=True),
    )
    return html.section(
        "Training",
        html.picture(*curves, "Loss, WA and UA over the epochs"),
        _epochs(history, best_epoch),
    )


def _epochs(history: Sequence[Mapping[str, float]], best_epoch: int | None) -> str:
    seconds = [row["seconds"] for row in history]
    rates = [row["examples_per_second"] for row in history]
    text = f"{_count(len(history), 'epoch')}; {_duration(float(np.median(seconds)))} an epoch, "
    text += f"{np.median(rates):,.0f} examples per second (medians)."
    if best_epoch is not None:
        text += f" The weights of epoch {best_epoch} were kept."
    return f"<p class='note'>{escape(text)}</p>"


def _per_class(metrics: Mapping[str, Any]) -> str:
    rows = []
    for name in metrics["classes"]:
        row = metrics["per_class"][name]
        # A class without utterances has no recall; 0 would look like a failure.
        recall = _percent(row["recall"]) if row["support"] else "–"
        shares = (_percent(row["precision"]), recall, _percent(row["f1"]))
        rows.append((name, *shares, f"{row['support']:,}"))
    return html.table(("class", "precision %", "recall %", "F1 %", "utterances"), rows)


def _speakers(test: Predictions) -> str:
    """The speakers whom the model understands worst, which a mean over all of them hides."""
    right = test.true == test.predicted
    rows = []
    for name in sorted(set(test.speakers)):
        chosen = np.array([speaker == name for speaker in test.speakers])
        rows.append((name, float(right[chosen].mean()), int(chosen.sum())))
    if len(rows) < 2:
        return ""
    rows.sort(key=lambda row: row[1])
    cells = [(name, _percent(share), f"{size:,}") for name, share, size in rows[:_MOST_SPEAKERS]]
    shown = f"the {_MOST_SPEAKERS} lowest of {len(rows)}" if len(rows) > len(cells) else "all"
    return html.section(
        "Speakers",
        f"<p class='note'>Lowest first, {shown}.</p>",
        html.table(("speaker", "WA %", "utterances"), cells),
    )


def _hardest(hardest: Sequence[HardUtterance]) -> str:
    if not hardest:
        return "<p>No test utterance was mistaken.</p>"
    cards = []
    for each in hardest:
        parts = [
            f"<h3 class='path'>{escape(each.path)}</h3>",
            f"<p class='note'>speaker {escape(each.speaker)}</p>",
            f"<p><b>{escape(each.true)}</b> taken for <b>{escape(each.predicted)}</b></p>",
        ]
        if each.spectrogram is not None:
            image = spectrogram_png(each.spectrogram, each.seconds, each.max_hz)
            parts.append(html.image(image, f"Spectrogram of {each.path}"))
        if each.audio_wav is not None:
            source = html.data_uri("audio/wav", each.audio_wav)
            parts.append(f"<audio controls src='{source}'></audio>")
        parts.append(_bars(each))
        cards.append(f"<article>{''.join(parts)}</article>")
    return (
        "<p class='note'>The wrong answers to whose true class the model gave the lowest "
        f"probability.</p>\n<div class='cards'>{''.join(cards)}</div>"
    )


def _bars(utterance: HardUtterance) -> str:
    """The most probable classes, and the true one wherever it stands."""
    ranked = sorted(utterance.probabilities.items(), key=lambda item: -item[1])
    shown = ranked[:_MOST_BARS]
    shown += [item for item in ranked[_MOST_BARS:] if item[0] == utterance.true]
    rows = "".join(
        f"<tr{' class=true' if name == utterance.true else ''}><th scope='row'>{escape(name)}</th>"
        f"<td class='bar'><i style='width:{100 * probability:.2f}%'></i></td>"
        f"<td>{_percent(probability)}</td></tr>"
        for name, probability in shown
    )
    return f"<table class='bars'><caption>probability %</caption>{rows}</table>"


def _configuration(config: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in config.items() if name not in ("command", "notes")}
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in _flattened(shown)
    )
    return f"<dl class='config'>{items}</dl>"


def _flattened(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Each setting with its dotted name, as text."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(str(each) for each in value) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return html.section(
        "Notes", f"<ul>{''.join(f'<li>{escape(str(note))}</li>' for note in notes)}</ul>"
    )


def _time(seconds: Mapping[str, float]) -> str:
    """How the run's time divides; what the total has beyond the parts is shown as other."""
    parts = {name: value for name, value in seconds.items() if name != "total"}
    total = max(seconds.get("total", 0.0), sum(parts.values()))
    if total <= 0:
        return ""
    other = total - sum(parts.values())
    if other > 0.005 * total:
        parts["other"] = other
    segments = "".join(
        f"<i class='s{i % 6}' style='width:{100 * value / total:.2f}%'></i>"
        for i, value in enumerate(parts.values())
    )
    rows = "".join(
        f"<tr><th scope='row'><i class='key s{i % 6}'></i>{escape(name)}</th>"
        f"<td>{_duration(value)}</td><td>{_percent(value / total)}</td></tr>"
        for i, (name, value) in enumerate(parts.items())
    )
    return html.section(
        "Time",
        f"<div class='stack' aria-hidden='true'>{segments}</div>",
        "<table><thead><tr><th scope='col'>part</th><th scope='col'>time</th>"
        f"<th scope='col'>%</th></tr></thead><tbody>{rows}</tbody><tfoot><tr><th scope='row'>total"
        f"</th><td>{_duration(total)}</td><td>100.0</td></tr></tfoot></table>",
    )


def _command(command: str | Sequence[str] | None) -> str:
    if not command:
        return ""
    line = command if isinstance(command, str) else shlex.join(str(each) for each in command)
    return html.section("To reproduce", f"<pre><code>{escape(line)}</code></pre>")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
