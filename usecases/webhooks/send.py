"""One webhook over the wire: its content, and one attempt to deliver it."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import httpx

from fivefold.domain.clock import utc_text
from fivefold.domain.errors import ConflictError
from fivefold.store.webhooks.deliveries import LeasedDelivery
from fivefold.store.webhooks.outbox import NOBODY
from fivefold.usecases.shared.addresses import addresses_of
from fivefold.usecases.shared.connections import at_first, request_to
from fivefold.usecases.webhooks.signing import Secret, earlier_signature, webhook_signature

LIMIT_SECONDS = 10
"""The time limit of an attempt, from looking up the host to the end of the answer."""
MOST_ANSWER_BYTES = 65_536
"""How many bytes of an answer are read, and discarded: only its status counts."""
MOST_ERROR_CHARACTERS = 300


@dataclass(frozen=True)
class Destination:
    """An endpoint's address, and the secrets that sign its webhooks now."""

    url: httpx.URL
    private_allowed: bool
    secrets: tuple[Secret, ...]


@dataclass(frozen=True)
class LookUp:
    """The result of looking up a host: addresses to connect to, or why there are none."""

    addresses: tuple[str, ...] = ()
    error: str = ""


def body_of(claim: LeasedDelivery) -> bytes:
    """Write the content of a webhook as JSON; for an erased entity it says only that the event happened.

    `entity` is null if it is about no entity.
    """
    entity = None if claim.entity_id == NOBODY else {"type": claim.entity_type, "id": claim.external_id}
    body = {
        "event_id": claim.event_id,
        "sequence": claim.event_number,
        "kind": claim.kind,
        "at": utc_text(claim.at_us, "microseconds"),
        "entity": entity,
        "data": None if claim.body is None else json.loads(claim.body),
        "erased": claim.body is None,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def headers_of(claim: LeasedDelivery, secrets: Sequence[Secret], timestamp_s: int, body: bytes) -> dict[str, str]:
    """Write the headers of an attempt: those of Standard Webhooks, and for one release the former ones."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "fivefold",
        "webhook-id": claim.event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": webhook_signature(secrets, claim.event_id, timestamp_s, body),
        "Fivefold-Event-Id": claim.event_id,
        "Fivefold-Sequence": str(claim.event_number),
        "Fivefold-Timestamp": str(timestamp_s),
        "Fivefold-Signature": earlier_signature(secrets, timestamp_s, body),
    }


async def look_up(destination: Destination) -> LookUp:
    """Look up the addresses to connect to, now."""
    try:
        return LookUp(await addresses_of(destination.url, private_allowed=destination.private_allowed))
    except ConflictError as error:
        return LookUp(error=str(error))
    except (OSError, UnicodeError) as error:
        return LookUp(error=f"{destination.url.host} cannot be looked up: {error}")


async def send(
    transport: httpx.AsyncBaseTransport,
    destination: Destination,
    looked_up: Awaitable[LookUp],
    claim: LeasedDelivery,
    timestamp_s: int,
) -> str | None:
    """Deliver a webhook to its endpoint; None if it arrived, or else the reason, for people.

    It arrived if the answer is 2xx and was read to its end, or to its first 64 kB, within the limit.
    """
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            lookup = await asyncio.shield(looked_up)
            if lookup.error:
                return lookup.error
            body = body_of(claim)
            headers = headers_of(claim, destination.secrets, timestamp_s, body)
            status = await at_first(
                lookup.addresses, lambda address: _post_to(transport, destination.url, address, headers, body)
            )
    except TimeoutError:
        return f"no whole answer within {LIMIT_SECONDS} s"
    except Exception as error:  # noqa: BLE001 (an error of one webhook is recorded, and must not stop others)
        return f"{type(error).__name__}: {error}".rstrip(": ")[:MOST_ERROR_CHARACTERS]
    if httpx.codes.is_success(status):
        return None
    return f"answered {status}{'; redirects are not followed' if httpx.codes.is_redirect(status) else ''}"


async def _post_to(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, address: str, headers: dict[str, str], body: bytes
) -> int:
    """Post to one address; return the status of the answer."""
    response = await transport.handle_async_request(request_to(address, "POST", url, headers, body))
    try:
        read = 0
        async for chunk in response.aiter_raw():
            read += len(chunk)
            if read > MOST_ANSWER_BYTES:
                break
    finally:
        await response.aclose()
    return response.status_code
