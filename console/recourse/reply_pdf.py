"""The reply to a challenge as PDF: one page, in plain words."""

from typing import Any

from reportlab.platypus import Spacer

from fivefold.console.levels.pdf import moment_text, pages_of, paragraph
from fivefold.console.rendering import reading_in
from fivefold.console.texts import text
from fivefold.usecases.recourse.reply import Reply


def pdf_of_reply(reply: Reply, zone: str) -> bytes:
    """Write a reply as a PDF; its moments are in *zone* of the IANA database, with UTC beside."""
    with reading_in(zone):
        received, settled = moment_text(reply.received_us), moment_text(reply.settled_us)
    title = text("Reply to the challenge of {name}", name=reply.external_id)
    contested = text(
        "You contested assessment {assessment}. We received that on {received}, and settled it on {settled}.",
        assessment=reply.assessment,
        received=received,
        settled=settled,
    )
    story: list[Any] = [paragraph(title, "title"), paragraph(contested), paragraph(reply.outcome, "strong")]
    if reply.answer is not None:
        story.append(paragraph(reply.answer))
    if reply.new_assessment is not None:
        anew = text(
            "The new outcome is assessment {number}; you may ask for a statement of it.", number=reply.new_assessment
        )
        story.append(paragraph(anew))
    story += [Spacer(1, 12), paragraph(text("SHA-256 of this reply: {hash}", hash=reply.sha256), "foot")]
    return pages_of(story, title, title=title, author="")
