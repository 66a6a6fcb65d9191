"""OpenID Connect: an identity provider says who a person is, by the authorization code flow with PKCE.

Sources: OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9700 (best practice).
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Final

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
)
from joserfc.jwk import Key, KeySet
from joserfc.jwt import JWTClaimsRegistry

from fivefold.domain.errors import IdentityError, IdentityProviderError, WhyNoIdentity
from fivefold.domain.settings import OpenIdSettings
from fivefold.domain.text import why_unreadable
from fivefold.usecases.shared.addresses import LookUpLoop
from fivefold.usecases.shared.connections import HEADERS, NotAnsweredError, certificate_authorities, whole_body
from fivefold.usecases.shared.entity_checks import storable

SECONDS: Final = 10
"""How long to wait for a whole answer of the provider."""
MOST_BYTES: Final = 1_000_000
"""Largest answer of the provider."""
AWAY_SECONDS: Final = 10
"""How long a provider that did not answer is left alone."""
KEPT_SECONDS: Final = 3_600
"""How long the provider's addresses and keys are cached."""
AGAIN_SECONDS: Final = 5
"""How long keys are not fetched again if none of them signed a token: no newer one may have signed it either."""
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
"""Signatures by a key that only the provider has; never `none`, and none by a shared secret."""
LEEWAY_SECONDS: Final = 60
_OF_CLAIMS: Final = {
    "iss": WhyNoIdentity.WRONG_ISSUER,
    "aud": WhyNoIdentity.WRONG_AUDIENCE,
    "nonce": WhyNoIdentity.WRONG_NONCE,
    "iat": WhyNoIdentity.FROM_THE_FUTURE,
    "nbf": WhyNoIdentity.FROM_THE_FUTURE,
}
"""What the log says of a claim that is invalid."""


@dataclass(frozen=True)
class _Attempt:
    """The state that the browser keeps while its person is at the provider.

    Attributes:
        state: returned with the answer, to show that the answer belongs to this browser.
        nonce: part of the identity token.
        verifier: of PKCE; a thief of the code does not have it.
    """

    state: str
    nonce: str
    verifier: str

    @property
    def text(self) -> str:
        """For a cookie: none of the parts contains a full stop."""
        return f"{self.state}.{self.nonce}.{self.verifier}"


@dataclass(frozen=True)
class Identity:
    """The person who signed in.

    Attributes:
        subject: the provider's own name for the person, which never changes.
        name: of the member, from the claim that the settings name.
    """

    subject: str
    name: str


@dataclass(frozen=True)
class _Description:
    """The provider's description of itself.

    Attributes:
        metadata: its addresses.
        keys: the keys with which it signs.
        at: when they were fetched, by the clock.
    """

    metadata: dict[str, Any]
    keys: KeySet
    at: float


@dataclass
class IdentityProvider:
    """The provider that the settings name; its addresses and keys are fetched at first use. Threads may share it."""

    settings: OpenIdSettings
    clock: Callable[[], float] = monotonic
    _fetching: Lock = field(default_factory=Lock)
    _latest: _Description | None = None
    _away: tuple[float, str] | None = None

    def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Return the provider's address to which the person is sent, and the state that their browser keeps meanwhile.

        IdentityProviderError if the provider cannot be reached.
        """
        attempt = _Attempt(generate_token(32), generate_token(32), secrets.token_urlsafe(48))
        client = OAuth2Client(
            None,
            self.settings.client_id,
            redirect_uri=redirect_uri,
            scope="openid email profile",
            code_challenge_method="S256",
        )
        address, _ = client.create_authorization_url(
            self._read().metadata["authorization_endpoint"],
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
        )
        return str(address), attempt.text

    def identify(self, redirect_uri: str, query: Mapping[str, str], attempt_text: str) -> Identity:
        """Identify the person whom the provider sent back with *query*.

        *attempt_text* is the state that `begin` returned, as the person's browser kept it.

        Raises:
            IdentityError: the provider refused, or its answer belongs to another attempt, or names no member.
            IdentityProviderError: it cannot be reached.
        """
        parts = attempt_text.split(".")
        if len(parts) != 3:
            over = "This attempt to sign in is over, or another browser began it. Sign in again."
            raise IdentityError(over, WhyNoIdentity.NO_ATTEMPT)
        attempt = _Attempt(*parts)
        if not secrets.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            other = "This answer belongs to another attempt to sign in. Sign in again."
            raise IdentityError(other, WhyNoIdentity.OTHER_ATTEMPT)
        if "code" not in query:
            reason = _shown(query.get("error", "it gave no reason"))
            raise IdentityError(f"The identity provider refused: {reason}.", WhyNoIdentity.REFUSED)
        token = self._exchange(redirect_uri, query["code"], attempt.verifier)
        return self._identity(self._claims(token.get("id_token"), attempt.nonce))

    def _exchange(self, redirect_uri: str, code: str, verifier: str) -> dict[str, Any]:
        """Exchange the code for tokens."""
        endpoint = self._read().metadata["token_endpoint"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        status, content = _ask("POST", endpoint, data=form, auth=(self.settings.client_id, self.settings.client_secret))
        if "error" in content:
            refused = f"The identity provider refused: {_shown(content['error'])}. Sign in again."
            raise IdentityError(refused, WhyNoIdentity.REFUSED)
        return _checked_status(endpoint, status, content)

    def _claims(self, token: Any, nonce: str) -> dict[str, Any]:
        """Check an identity token: its signature, and that it is of this provider, for us, now, and of this attempt."""
        registry = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        claims: dict[str, Any] = {}
        try:
            claims = self._signed(str(token))
            registry.validate(claims)
        except (JoseError, ValueError, RecursionError) as error:
            bad = f"The identity token is not accepted ({_shown(error)}). Sign in again."
            raise IdentityError(bad, _why_not_accepted(error, claims)) from None
        own = self.settings.client_id
        if claims["aud"] not in (own, [own]) or claims.get("azp", own) != own:  # Core, 3.1.3.7, 3 to 5
            others = "The identity token is for other programs too. Sign in again."
            raise IdentityError(others, WhyNoIdentity.WRONG_AUDIENCE)
        return claims

    def _signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that the provider signed; errors are those of joserfc, and ValueError."""
        latest = self._read()
        try:
            return _claims_by(latest.keys, token)
        except JoseError:  # the provider may have changed its keys (Core, 10.1.1)
            if self.clock() - latest.at < AGAIN_SECONDS:
                raise
            return _claims_by(self._newer(latest).keys, token)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        claim, subject = self.settings.claim, str(claims["sub"])
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            lacks = f"The identity token has no {claim}, which must name the member."
            raise IdentityError(lacks, WhyNoIdentity.LACKS_CLAIM)
        if not storable(name) or not storable(subject):
            bad = f"The identity token's sub or {claim} has a character that cannot be stored."
            raise IdentityError(bad, WhyNoIdentity.BAD_NAME)
        if claim == "email" and claims.get("email_verified") is not True:
            unverified = f"The identity provider has not verified the address {name}."
            raise IdentityError(unverified, WhyNoIdentity.UNVERIFIED_ADDRESS)
        return Identity(subject, name)

    def _read(self) -> _Description:
        """Return the provider's addresses and keys, at most an hour old; IdentityProviderError without them.

        Older ones are returned while another thread fetches newer ones.
        """
        latest = self._latest
        if latest is not None and (self.clock() - latest.at <= KEPT_SECONDS or self._fetching.locked()):
            return latest
        return self._newer(latest)

    def _newer(self, old: _Description | None) -> _Description:
        """Return newer addresses and keys than *old* ones: one thread at a time fetches them."""
        with self._fetching:
            if self._latest is not None and self._latest is not old:
                return self._latest
            if self._away is not None and self.clock() < self._away[0]:
                raise IdentityProviderError(self._away[1])
            try:
                metadata, keys = self._fetch_all()
            except IdentityProviderError as error:
                self._away = self.clock() + AWAY_SECONDS, str(error)
                raise
            self._latest, self._away = _Description(metadata, keys, self.clock()), None
            return self._latest

    def _fetch_all(self) -> tuple[dict[str, Any], KeySet]:
        """Fetch the provider's addresses and keys; IdentityProviderError if they are missing or unreadable."""
        issuer = self.settings.issuer
        metadata = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise IdentityProviderError(f"{issuer} calls itself {metadata.get('issuer')!r}; they must be the same")
        endpoints = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if lacking := [name for name in endpoints if not isinstance(metadata.get(name), str)]:
            raise IdentityProviderError(f"{issuer} does not say its {', '.join(lacking)}")
        try:
            return metadata, _readable_keys(_fetch(metadata["jwks_uri"])["keys"])
        except (JoseError, ValueError, KeyError, TypeError) as error:
            why = "it has no keys" if isinstance(error, KeyError) else str(error)
            raise IdentityProviderError(f"the keys of {issuer} cannot be read: {why}") from None


def _readable_keys(keys: Any) -> KeySet:
    """Read the keys of a set without those of an unknown kind or form (RFC 7517, 5); an error if no key is left."""
    readable: list[Key] = []
    unreadable: Exception = ValueError("there are none")
    for key in keys:
        try:
            readable += KeySet.import_key_set({"keys": [key]}).keys
        except (JoseError, ValueError, KeyError, TypeError) as error:
            unreadable = error
    if not readable:
        raise unreadable
    return KeySet(readable)


def _claims_by(keys: KeySet, token: str) -> dict[str, Any]:
    """Return the claims of a token that the key of its `kid` signed, or, without a `kid`, a key that has none."""
    try:
        return dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims)
    except InvalidKeyIdError:
        for key in keys:
            if key.kid == key.thumbprint():  # the library calls a key without a `kid` so
                with suppress(JoseError):
                    return dict(jwt.decode(token, key, algorithms=ALGORITHMS).claims)
        raise


def _why_not_accepted(error: Exception, claims: Mapping[str, Any]) -> WhyNoIdentity:
    """Return, in the words of the log, why an identity token is not accepted."""
    if isinstance(error, ExpiredTokenError):
        return WhyNoIdentity.EXPIRED
    if isinstance(error, MissingClaimError):
        return WhyNoIdentity.LACKS_CLAIM
    if isinstance(error, ClaimError):
        why = _OF_CLAIMS.get(error.claim, WhyNoIdentity.NOT_VALID)
        is_no_time = why is WhyNoIdentity.FROM_THE_FUTURE and not isinstance(claims.get(error.claim), int | float)
        return WhyNoIdentity.NOT_VALID if is_no_time else why
    is_of_no_key = isinstance(error, BadSignatureError | InvalidKeyIdError)
    return WhyNoIdentity.BAD_SIGNATURE if is_of_no_key else WhyNoIdentity.NOT_VALID


def _shown(reason: Any) -> str:
    """Write the provider's reason in a few words that every page can show."""
    return str(reason)[:100].encode("utf-8", "replace").decode()


def _fetch(address: str) -> dict[str, Any]:
    """Fetch a JSON object; redirects are not followed."""
    return _checked_status(address, *_ask("GET", address))


def _checked_status(address: str, status: int, content: dict[str, Any]) -> dict[str, Any]:
    if status != httpx.codes.OK:
        raise IdentityProviderError(f"{address} cannot be read: it answered {status}")
    return content


def _ask(method: str, address: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object of an answer; IdentityProviderError if it is not one, late or too long."""
    try:
        with asyncio.Runner(loop_factory=LookUpLoop) as runner:
            status, body = runner.run(_answer_of(method, address, **more))
        content = json.loads(body)
    except TimeoutError:
        raise IdentityProviderError(f"{address} cannot be read: no whole answer within {SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, NotAnsweredError, OSError, ValueError, RecursionError) as error:
        raise IdentityProviderError(
            f"{address} cannot be read: {why_unreadable(error) or type(error).__name__}"
        ) from None
    if not isinstance(content, dict):
        raise IdentityProviderError(f"{address} is not a JSON object")
    return status, content


async def _answer_of(method: str, address: str, **more: Any) -> tuple[int, bytes]:
    async with (
        asyncio.timeout(SECONDS),
        httpx.AsyncClient(verify=certificate_authorities(), headers=HEADERS, timeout=httpx.Timeout(None)) as client,
        client.stream(method, address, **more) as response,
    ):
        return response.status_code, await whole_body(response, MOST_BYTES)
