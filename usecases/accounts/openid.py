"""OpenID Connect: an identity provider says who a person is, by the authorization code flow with PKCE.

Sources: OpenID Connect Core 1.0, section 3.1; RFC 7636 (PKCE); RFC 9700 (best practice).
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Final

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from fivefold.domain.errors import IdentityError, IdentityProviderError
from fivefold.domain.settings import OpenIdSettings

SECONDS: Final = 10
"""How long to wait for an answer of the provider."""
AWAY_SECONDS: Final = 10
"""How long a provider that did not answer is not asked again."""
KEPT_SECONDS: Final = 3_600
"""How long the provider's addresses and keys are cached."""
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
"""Signatures by a key that only the provider has; never `none`, and none by a shared secret."""
LEEWAY_SECONDS: Final = 60


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


@dataclass
class IdentityProvider:
    """The provider that the settings name; its addresses and keys are fetched at first use. Threads may share it."""

    settings: OpenIdSettings
    clock: Callable[[], float] = monotonic
    _lock: Lock = field(default_factory=Lock)
    _metadata: dict[str, Any] = field(default_factory=dict)
    _keys: KeySet | None = None
    _fetched: float = 0.0
    _away: tuple[float, str] | None = None

    def begin(self, redirect_uri: str) -> tuple[str, str]:
        """Return the provider's address to which the person is sent, and the state that their browser keeps meanwhile.

        IdentityProviderError if the provider cannot be reached.
        """
        attempt = _Attempt(generate_token(32), generate_token(32), secrets.token_urlsafe(48))
        endpoint = self._read()[0]["authorization_endpoint"]
        with self._client(redirect_uri) as client:
            address, _ = client.create_authorization_url(
                endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier
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
            raise IdentityError("This attempt to sign in is over, or another browser began it. Sign in again.")
        attempt = _Attempt(*parts)
        if not secrets.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            raise IdentityError("This answer belongs to another attempt to sign in. Sign in again.")
        if "code" not in query:
            raise IdentityError(f"The identity provider refused: {query.get('error', 'it gave no reason')[:100]}.")
        token = self._exchange(redirect_uri, query["code"], attempt.verifier)
        return self._identity(self._claims(token.get("id_token"), attempt.nonce))

    def _client(self, redirect_uri: str) -> OAuth2Session:
        """The OAuth client of the settings, with PKCE."""
        of = self.settings
        return OAuth2Session(
            of.client_id,
            of.client_secret,
            redirect_uri=redirect_uri,
            scope="openid email profile",
            code_challenge_method="S256",
            default_timeout=SECONDS,
        )

    def _exchange(self, redirect_uri: str, code: str, verifier: str) -> dict[str, Any]:
        """Exchange the code for tokens."""
        endpoint = self._read()[0]["token_endpoint"]
        try:
            with self._client(redirect_uri) as client:
                return dict(client.fetch_token(endpoint, code=code, code_verifier=verifier))
        except OAuthError as error:
            raise IdentityError(f"The identity provider refused: {error.error}. Sign in again.") from None
        except (requests.RequestException, ValueError) as error:
            raise IdentityProviderError(f"{endpoint} cannot be reached: {error}") from None

    def _claims(self, token: Any, nonce: str) -> dict[str, Any]:
        """Check an identity token: its signature, and that it is of this provider, for us, now, and of this attempt."""
        metadata, keys = self._read()
        registry = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": metadata["issuer"]},
            aud={"essential": True, "value": self.settings.client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(str(token), keys, algorithms=ALGORITHMS).claims
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            with self._lock:
                self._fetched = 0.0  # the provider may have changed its keys
            raise IdentityError(f"The identity token is not accepted ({error}). Sign in again.") from None
        return dict(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        claim = self.settings.claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise IdentityError(f"The identity token has no {claim}, which must name the member.")
        if claim == "email" and claims.get("email_verified") is not True:
            raise IdentityError(f"The identity provider has not verified the address {name}.")
        return Identity(str(claims["sub"]), name)

    def _read(self) -> tuple[dict[str, Any], KeySet]:
        """Return the provider's addresses and keys, at most an hour old; IdentityProviderError without them."""
        with self._lock:
            if self._keys is None or not self._fetched or self.clock() - self._fetched > KEPT_SECONDS:
                if self._away is not None and self.clock() < self._away[0]:
                    raise IdentityProviderError(self._away[1])
                try:
                    self._metadata, self._keys = self._fetch_all()
                except IdentityProviderError as error:
                    self._away = self.clock() + AWAY_SECONDS, str(error)
                    raise
                self._fetched, self._away = self.clock(), None
            return self._metadata, self._keys

    def _fetch_all(self) -> tuple[dict[str, Any], KeySet]:
        """Fetch the provider's addresses and keys; IdentityProviderError if they are missing or unreadable."""
        issuer = self.settings.issuer
        metadata = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise IdentityProviderError(f"{issuer} calls itself {metadata.get('issuer')!r}; they must be the same")
        if lacking := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - set(metadata):
            raise IdentityProviderError(f"{issuer} does not say its {', '.join(sorted(lacking))}")
        try:
            return metadata, KeySet.import_key_set(_fetch(metadata["jwks_uri"]))  # type: ignore[arg-type]  # checked there
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise IdentityProviderError(f"the keys of {issuer} cannot be read: {error}") from None


def _fetch(address: str) -> dict[str, Any]:
    """Fetch a JSON object; redirects are not followed."""
    try:
        answer = requests.get(address, timeout=SECONDS, allow_redirects=False)
        answer.raise_for_status()
        content = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise IdentityProviderError(f"{address} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise IdentityProviderError(f"{address} is not a JSON object")
    return content
