"""The console over HTTP: sessions, forms and headers around the pages of `fivefold.console`."""

import hmac
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import structlog
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fivefold import console
from fivefold.console.accounts.sign_in import ended_part, sign_in_page
from fivefold.console.answering import (
    ConsoleResponse,
    answer,
    database_reason,
    error_alone,
    error_part,
    fault_reason,
    other_session,
)
from fivefold.console.table import VIEWS
from fivefold.console.texts import text
from fivefold.console.visit import Rights, Upload, View, Visit, Written, written_in
from fivefold.domain.errors import IdentityError, IdentityProviderError, StoreError, http_status
from fivefold.domain.settings import OpenIdSettings
from fivefold.serving import access_log
from fivefold.serving.access_log import CAUSE, RECORD, SIGN_IN, WHO, note_cause
from fivefold.serving.authentication import RateLimiter, ask_provider, run_in_session_pool
from fivefold.serving.error_middleware import FAULT_PAGE
from fivefold.serving.lanes import Lane
from fivefold.serving.metrics.service import ROUTE
from fivefold.serving.request_reading import is_of_own_site, read_body, read_body_of_stranger, site_of
from fivefold.serving.responses import ARRAY, ApiError
from fivefold.serving.v1.dispatch import LANES, record_of
from fivefold.serving.v1.path_encoding import PartedPath, is_readable, parts_of
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import DOCUMENT_BYTES, Work
from fivefold.store.accounts.plans import Plan, require_plan_of_people
from fivefold.usecases.accounts.sessions import MemberSession, find_session, sign_in, sign_in_by_identity
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.models.read import OpenRegistry, no_registry
from fivefold.usecases.shared.inputs import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    from fivefold.usecases.accounts.openid import IdentityProvider

LOG = structlog.get_logger()
COOKIE: Final = "__Host-fivefold"
SIGN_IN_PATH: Final = "/console/sign-in"
IDENTITY_PATH: Final = "/console/sign-in/identity"
RETURN_PATH: Final = "/console/sign-in/identity/return"
ATTEMPT_COOKIE: Final = "__Host-fivefold-attempt"
"""Cookie while a person is at the identity provider; unlike the session's, it is sent when another site leads here."""
ATTEMPT_SECONDS: Final = 600
SIGN_IN_BYTES: Final = 64_000
SIGN_IN_SECONDS: Final = 5.0
FORM_BYTES: Final = 3 * (DOCUMENT_BYTES + 4 * MAX_REASON_CHARACTERS)
"""Largest form: a document and a reason, each byte of which may be percent-encoded. A shorter text that is too long for
its field is refused by the use case, and its page shows it again."""
LOST_FORM_SECONDS: Final = 25.0
"""Time limit for a form without a session: enough for a document on a slow line, and less than the limit of all
answers."""
MOST_FILES: Final = 2
"""Most fields of a form that take a file."""
_AS_ASKED: Final = "%/:?#[]@!$&'()*+,;=~"
"""Characters of an address that stay as they are; a header takes ASCII alone."""
LANE: Final = Lane("console", 4, each=4, waiting_each=32, waiting=128)
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types {types}"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY.format(types="'none'"),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""A page loads this site's styles and images alone, runs no script, sends forms nowhere else, and is not cached."""
OF_SCRIPT: Final = "hx-request"
"""A header that htmx sends."""
SCRIPTS: Final = ("htmx.min.js", "hx-csp.min.js", "console.js")
"""Scripts that pages of a session may run; hatch_build.py fetches the first two, and every page works without any."""
STATIC: Final = {
    "console.css": "text/css",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(SCRIPTS, "text/javascript"),
}
"""Files of the folder `static`, with their types."""
RIGHTS: Final[Rights] = {f"{route.method} {route.path}": route.roles for route in ROUTES}


class Console:
    """Answers the pages; one in each worker."""

    def __init__(
        self,
        engine: Engine,
        valuer: Callable[[], EntityScorer | None],
        plans: Mapping[str, Plan] | None = None,
        registry: OpenRegistry = no_registry,
        openid: OpenIdSettings | None = None,
    ) -> None:
        """Answer from a database, with the value model that *valuer* returns; *registry* opens that of its versions.

        A token's plan in *plans* limits its requests in a minute; without a plan there is no limit.
        With *openid* people may sign in by that identity provider too; ConfigError if its plan is not in *plans*.
        """
        self._openid = openid
        self._provider = None if openid is None else _provider(openid, plans or {})
        self._engine = engine
        self._valuer = valuer
        self._plans = plans or {}
        self._registry = registry
        self._rate_limiter = RateLimiter()

    async def answer(self, view: View, request: Request) -> Response:
        """Answer one request, errors included."""
        _begin(request, view.path)
        was_read, form, file = view.method != "POST", dict[str, str](), None
        try:
            secret = request.cookies.get(COOKIE, "")
            session = await run_in_session_pool(partial(find_session, self._engine, secret)) if secret else None
            if session is None:
                return _to_sign_in(request) if view.method == "GET" else await self._after_the_end(view, request)
            request.scope[WHO] = (session.credential.organisation_id, session.credential.actor.name)
            plan = self._plans.get(session.credential.plan)
            self._rate_limiter.require(session.credential.token_id, None if plan is None else plan.requests_per_minute)
            if record := record_of(request):
                request.scope[RECORD] = record
            if not is_readable(request.scope):
                return _response(error_alone(404, text("The address is not UTF-8.")))
            token = session.credential.token_id
            if not was_read:
                was_read = True  # even if it cannot be read: then none of it is shown
                form, file = await _form(view, request, token)
            is_other = view.method == "POST" and not _is_of_session(form.pop("form_token", ""), secret)
            visit = replace(self._visit(view, request, session, secret, form), file=file)
            lane = LANES[Work.READING] if view.reads_document else LANE
            respond = partial(self._respond, view, visit, secret, other_session if is_other else partial(answer, view))
            document = await lane.run(session.credential.organisation_id, respond)
            if document is None:
                return await self._after_the_end(view, request, form)
        except (ApiError, StoreError) as error:
            return _refusal(request, error, written_in(form) if was_read else await _written_into_form(view, request))
        if document.status == HTTPStatus.FORBIDDEN:
            request.scope[SIGN_IN] = access_log.NOT_ALLOWED
        if document.cause:
            request.scope[CAUSE] = document.cause
        sign_out = bool(document.location) and view.path.startswith("/console/sign-out")
        return _response(document, sign_out=sign_out, nonce=visit.nonce)

    def _respond(
        self, view: View, visit: Visit, secret: str, respond: Callable[[Visit], ConsoleResponse]
    ) -> ConsoleResponse | None:
        """Answer a visit in its turn; None if its session ended while the form was sent or waited."""
        session = find_session(self._engine, secret) if view.method == "POST" else visit.session
        document = None if session is None else respond(replace(visit, session=session))
        is_refused = view.method == "POST" and document is not None and document.status == HTTPStatus.CONFLICT
        return None if is_refused and find_session(self._engine, secret) is None else document

    def _visit(self, view: View, request: Request, session: MemberSession, secret: str, form: dict[str, str]) -> Visit:
        parts = parts_of(request)
        path = _path_of(request)
        return Visit(
            self._engine,
            session.credential.actor,
            session=session,
            rights=RIGHTS,
            path=path if view.method == "GET" else path.rpartition("/")[0],
            action="" if view.method == "GET" else path.rpartition("/")[2],
            form_token=form_token_of(secret),
            site=site_of(request),
            parts=parts,
            query=dict(request.query_params),
            form=form,
            valuer=self._valuer(),
            registry=self._registry,
            nonce=token_urlsafe(16) if _has_scripts() else "",
            plans=self._plans,
            is_of_script=OF_SCRIPT in request.headers,
        )

    async def show_sign_in(self, request: Request) -> Response:
        """Show the form in which a member types a token."""
        _begin(request, SIGN_IN_PATH)
        return self._sign_in_page(_next_of(request.query_params.get("next", "")))

    async def _after_the_end(self, view: View, request: Request, form: dict[str, str] | None = None) -> Response:
        """Answer a form, perhaps read, that came after the end of the session, so that its text is not lost."""
        next_ = _next_of(_path_of(request).rpartition("/")[0])
        if OF_SCRIPT in request.headers:
            return _response(ended_part(next_))
        written = await _written_into_form(view, request) if form is None else written_in(form)
        return self._sign_in_page(next_, ended=True, written=written)

    def _sign_in_page(self, next_: str, **more: Any) -> Response:
        return _response(sign_in_page(next_, identity_path=IDENTITY_PATH if self._provider else "", **more))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, and set its cookie."""
        _begin(request, SIGN_IN_PATH)
        try:
            _require_own_origin(request)
            form = _fields(await read_body_of_stranger(request, SIGN_IN_BYTES, SIGN_IN_SECONDS))
            next_ = _next_of(form.get("next", ""))
            secret = form.get("token", "").strip()
            session = await run_in_session_pool(partial(sign_in, self._engine, secret))
        except (ApiError, StoreError) as error:
            return _refusal(request, error)
        if session is None:
            request.scope[SIGN_IN] = access_log.BAD_TOKEN if secret else access_log.NO_TOKEN
            return self._sign_in_page(next_, refused=True)
        return _signed_in(session[0], next_)

    async def go_to_provider(self, request: Request) -> Response:
        """Redirect to the identity provider, which sends the person back to `RETURN_PATH`."""
        _begin(request, IDENTITY_PATH)
        if self._provider is None:
            return await _missing(request)
        next_ = _next_of(request.query_params.get("next", ""))
        try:
            location, sealed = await ask_provider(partial(self._provider.begin, _return_address(request)))
        except IdentityProviderError as error:
            return self._without_provider(next_, error)
        response = RedirectResponse(location, HTTPStatus.SEE_OTHER, dict(HEADERS))
        attempt = quote(urlencode({"kept": sealed, "next": next_}))
        response.set_cookie(
            ATTEMPT_COOKIE, attempt, ATTEMPT_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
        )
        return response

    async def return_from_provider(self, request: Request) -> Response:
        """Begin the session of the member whom the identity provider names."""
        _begin(request, RETURN_PATH)
        if self._provider is None or self._openid is None:
            return await _missing(request)
        attempt = dict(parse_qsl(unquote(request.cookies.get(ATTEMPT_COOKIE, ""))))
        next_ = _next_of(attempt.get("next", ""))
        query, sealed = dict(request.query_params), attempt.get("kept", "")
        try:
            identify = partial(self._provider.identify, _return_address(request), query, sealed)
            identity = await ask_provider(identify)
            begin = partial(sign_in_by_identity, self._engine, self._openid, identity)
            secret, session = await run_in_session_pool(begin)
        except IdentityError as error:
            request.scope[SIGN_IN] = str(error.why)
            response = self._sign_in_page(next_, problem=str(error), status=HTTPStatus.FORBIDDEN)
        except IdentityProviderError as error:
            response = self._without_provider(next_, error)
        except StoreError as error:
            response = _refusal(request, error)
        else:
            request.scope[WHO] = (session.credential.organisation_id, session.credential.actor.name)
            response = _signed_in(secret, next_)
        response.delete_cookie(ATTEMPT_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    def _without_provider(self, next_: str, error: IdentityProviderError) -> Response:
        LOG.warning("identity provider", error=str(error))  # its addresses are not for the page
        away = text("The identity provider does not answer. Try again in a while, or sign in with a token.")
        return self._sign_in_page(next_, problem=away, status=HTTPStatus.SERVICE_UNAVAILABLE)


def add_console(app: FastAPI, pages: Console) -> None:
    """Add the pages to an application; its OpenAPI document leaves them out."""
    app.router.routes += [
        *(Route(f"/console/{name}", partial(_static, name)) for name in STATIC),
        Route(SIGN_IN_PATH, pages.show_sign_in),
        Route(SIGN_IN_PATH, pages.sign_in, methods=["POST"]),
        Route(IDENTITY_PATH, pages.go_to_provider),
        Route(RETURN_PATH, pages.return_from_provider),
        *(PartedPath(view.path, partial(_endpoint, pages, view), methods=[view.method]) for view in VIEWS),
        *(PartedPath(view.path, _to_page_of_action, methods=["GET"]) for view in VIEWS if view.page is not None),
        Route("/console/{rest:path}", _missing, methods=["GET", "POST"]),
    ]


def _provider(openid: OpenIdSettings, plans: Mapping[str, Plan]) -> "IdentityProvider":
    from fivefold.usecases.accounts.openid import IdentityProvider  # noqa: PLC0415 (imports Authlib)

    require_plan_of_people(openid, plans)
    return IdentityProvider(openid)


def _begin(request: Request, route: str) -> None:
    """Note the route of a request, and the page that answers it if it takes too long or the program fails."""
    request.scope[ROUTE] = route

    def fault_page(status: int) -> Response:
        return _refusal(request, ApiError(status, fault_reason(status, is_form=request.method == "POST")))

    request.scope[FAULT_PAGE] = fault_page


def _return_address(request: Request) -> str:
    """Write the address to which the provider sends people back; it must be registered there."""
    return f"{site_of(request)}{RETURN_PATH}"


def _signed_in(secret: str, next_: str) -> Response:
    response = RedirectResponse(next_, HTTPStatus.SEE_OTHER, dict(HEADERS))
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict")
    return response


async def _static(name: str, _: Request) -> Response:
    if name in SCRIPTS and not _has_scripts():
        return _response(error_alone(404, text("This build has no scripts.")))
    content = _content(name)
    return Response(content, media_type=STATIC[name], headers={**HEADERS, "Cache-Control": "public, max-age=300"})


@cache
def _has_scripts() -> bool:
    return all((Path(console.__file__).parent / "static" / name).is_file() for name in SCRIPTS)


async def _missing(request: Request) -> Response:
    path = _path_of(request)
    if path.endswith("/"):
        return RedirectResponse(path.rstrip("/"), HTTPStatus.SEE_OTHER, dict(HEADERS))
    return _response(error_alone(404, text("There is no such page.")))


@cache
def _content(name: str) -> bytes:
    return (Path(console.__file__).parent / "static" / name).read_bytes()


async def _to_page_of_action(request: Request) -> Response:
    """Redirect from the address of an action, which a browser shows after a refusal, to its page."""
    query = request.scope["query_string"].decode("ascii", "replace")
    page = _path_of(request).rpartition("/")[0]
    target = quote(f"{page}?{query}" if query else page, safe=_AS_ASKED)
    return RedirectResponse(target, HTTPStatus.SEE_OTHER, dict(HEADERS))


async def _endpoint(pages: Console, view: View, request: Request) -> Response:
    return await pages.answer(view, request)


def _path_of(request: Request) -> str:
    """Return the path as the browser sent it: identifiers stay percent-encoded."""
    raw: bytes = request.scope["raw_path"]
    return raw.partition(b"?")[0].decode("ascii", "replace")


def form_token_of(secret: str) -> str:
    """Derive the token of forms from the secret of a session: other sites know neither."""
    return hmac.new(secret.encode(), b"form", sha256).hexdigest()


Sent = tuple[dict[str, str], Upload | None]
"""The fields of a form, their lines separated by LF as in `/v1`, and the file sent with them."""


async def _form(view: View, request: Request, token: int | None = None) -> Sent:
    """Read a form, whose body counts for *token*, if any; ApiError 403 if another site sent it, 413 if too large."""
    _require_own_origin(request)
    without_session = partial(read_body_of_stranger, seconds=LOST_FORM_SECONDS)
    read = without_session if token is None else partial(read_body, token=token)
    try:
        body = await read(request, limit_bytes=FORM_BYTES)
    except ApiError as error:
        if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        most = f"{FORM_BYTES:,}"
        raise ApiError(
            413, text("The form is larger than {most} bytes, so it was not read, and nothing was changed.", most=most)
        ) from None
    has_file = view.reads_document and request.headers.get("content-type", "").startswith("multipart/form-data")
    form, file = await _parts(request, body, view.takes_file) if has_file else (_fields(body), None)
    return {name: typed.replace("\r\n", "\n") for name, typed in form.items()}, file  # browsers end lines with CRLF


async def _written_into_form(view: View, request: Request) -> Written:
    """Read the text of a form that is not carried out; empty for another site's, None if it cannot be read."""
    try:
        return written_in((await _form(view, request))[0])
    except ApiError as error:
        return () if error.status == HTTPStatus.FORBIDDEN else None


def _is_of_session(form_token: str, secret: str) -> bool:
    """Return whether a form comes from a page of this session."""
    return hmac.compare_digest(form_token.encode(), form_token_of(secret).encode())


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100))
    except ValueError:
        raise ApiError(422, text("The form cannot be read")) from None


async def _parts(request: Request, body: bytes, file_field: str) -> Sent:
    """Read a multipart form; a file's text is the value of its field. ApiError 422 if a part cannot be read.

    If *file_field* names a field, its file is returned separately, not decoded, and other files are left out.
    """

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parts = await MultiPartParser(request.headers, once(), max_files=MOST_FILES, max_fields=100).parse()
        try:
            form, file = {}, None
            for name, value in parts.items():
                if isinstance(value, str):
                    form[name] = value
                elif not file_field:
                    form[name] = (await value.read()).decode()
                elif name == file_field and value.filename:  # without a name no file was chosen
                    file = Upload(value.filename, await value.read())
            return form, file
        finally:
            await parts.close()
    except UnicodeDecodeError:
        raise ApiError(422, text("The file is not text in UTF-8")) from None
    except MultiPartException:
        raise ApiError(422, text("The form cannot be read")) from None


def _require_own_origin(request: Request) -> None:
    """Refuse a form that a page of another site sent."""
    if not is_of_own_site(request):
        request.scope[SIGN_IN] = access_log.OTHER_SITE
        raise ApiError(403, text("This form was sent by another site"))


def _to_sign_in(request: Request) -> Response:
    """Redirect to the sign-in, which leads back to the page; a link from another site gets a second try first.

    A browser withholds a strict cookie when another site leads here; when our own page does, it sends the cookie.
    """
    query = request.scope["query_string"].decode("ascii", "replace")
    target = _path_of(request) + (f"?{query}" if query else "")
    from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in request.cookies
    if from_elsewhere:
        return Response("", 200, headers={**HEADERS, "Refresh": f"0; url={quote(target, safe=_AS_ASKED)}"})
    if OF_SCRIPT in request.headers:  # the script swaps a part of a page, which then shows the end of the session
        return _response(ended_part(_next_of(target)))
    return RedirectResponse(f"{SIGN_IN_PATH}?{urlencode({'next': target})}", HTTPStatus.SEE_OTHER, dict(HEADERS))


def _next_of(address: str) -> str:
    """Return the address to go to after the sign-in: a page of the console, never another site."""
    is_ours = address.startswith(("/console/", "/console?")) and "\\" not in address and address.isprintable()
    return address if is_ours else "/console"


def _refusal(request: Request, error: ApiError | StoreError, written: Written = ()) -> Response:
    """Write the page for an error that ended a request before its page was made, with the text of its form.

    A script gets the part that it puts into the open page, which still has the text.
    """
    note_cause(request.scope, error)
    if isinstance(error, StoreError):
        status, reason = http_status(error), database_reason(error)
        assert status is not None  # every error of the database has one
    else:
        status, reason = error.status, error.text
    is_of_script = OF_SCRIPT in request.headers
    response = _response(error_part(status, reason) if is_of_script else error_alone(status, reason, written))
    if isinstance(error, ApiError):
        response.headers.update(error.headers)
    return response


def _response(document: ConsoleResponse, *, sign_out: bool = False, nonce: str = "") -> Response:
    headers = dict(HEADERS)
    if nonce:
        policy = f"{_POLICY.format(types='htmx')}; script-src 'nonce-{nonce}'; connect-src 'self'"
        headers["Content-Security-Policy"] = policy
    if document.file is not None:
        headers["Content-Disposition"] = document.file.disposition
        return Response(document.file.content, media_type=document.file.media_type, headers=headers)
    if document.location:
        response: Response = RedirectResponse(document.location, document.status, headers)
    else:
        marked = {**headers, ARRAY: "1"} if document.status >= 400 else headers
        response = Response(document.html, document.status, media_type="text/html; charset=utf-8", headers=marked)
    if sign_out:
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response
