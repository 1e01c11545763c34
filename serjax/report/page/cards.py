"""Section of the report page on the hardest utterances: a card for each."""

from collections.abc import Sequence

from serjax.report.page import html
from serjax.report.page.formatting import percent
from serjax.report.page.hardest import HardUtterance
from serjax.report.plots.spectrogram import spectrogram_png

_MOST_BARS = 5


def hardest_cards(hardest: Sequence[HardUtterance]) -> str:
    """Shows the hardest utterances, each on a card with its probabilities.

    Args:
        hardest: Utterances to show, with or without spectrogram and audio.

    Returns:
        HTML of the section's content.
    """
    if not hardest:
        return "<p>All predictions for the test set are correct.</p>"
    cards = []
    for each in hardest:
        parts = [
            f"<h3 class='path'>{html.escape(str(each.utterance))}</h3>",
            f"<p class='note'>speaker {html.escape(each.speaker)}</p>",
            f"<p><b>{html.escape(each.true)}</b> predicted as "
            f"<b>{html.escape(each.predicted)}</b></p>",
        ]
        if each.spectrogram is not None:
            image = spectrogram_png(each.spectrogram, each.seconds, each.max_hz)
            parts.append(html.image(image, f"Spectrogram of {each.utterance}"))
        if each.audio_wav is not None:
            source = html.data_uri("audio/wav", each.audio_wav)
            parts.append(f"<audio controls src='{source}'></audio>")
        parts.append(_bars(each))
        cards.append(f"<article>{''.join(parts)}</article>")
    return (
        "<p class='note'>The wrong predictions with the lowest probability of the true class."
        f"</p>\n<div class='cards'>{''.join(cards)}</div>"
    )


def _bars(utterance: HardUtterance) -> str:
    """Shows the probabilities of the most probable classes and of the true one, as bars."""
    ranked = sorted(utterance.probabilities.items(), key=lambda item: -item[1])
    shown = ranked[:_MOST_BARS]
    shown += [item for item in ranked[_MOST_BARS:] if item[0] == utterance.true]
    rows = "".join(
        f"<tr{' class=true' if name == utterance.true else ''}>"
        f"<th scope='row'>{html.escape(name)}</th>"
        f"<td class='bar'><i style='width:{100 * probability:.2f}%'></i></td>"
        f"<td>{percent(probability)}</td></tr>"
        for name, probability in shown
    )
    return f"<table class='bars'><caption>probability %</caption>{rows}</table>"
