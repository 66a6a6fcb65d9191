"""Loads the champion, pinned in BentoML's store, and swaps it while requests go on."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import bentoml
import structlog
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from filelock import FileLock

from fivefold.domain.errors import FingerprintMismatchError, FivefoldError, ModelError
from fivefold.domain.provenance import may_be_same_model
from fivefold.domain.settings import Settings
from fivefold.models.embedded import no_versions_text, require_registered
from fivefold.models.registry import RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel, require_whole, saved_hash
from fivefold.serving.champion.served_note import ServedNote, ServedVersion
from fivefold.serving.champion.trial import require_sound, warm_up_model
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

POLL_SECONDS = 10.0
"""Interval at which the alias is polled: a new champion serves within half a minute."""
STOP_SECONDS = 10.0
"""Longest wait of `stop` for a model that is being loaded."""
RETRY_SECONDS = 60.0
"""Pause before a refused version is tried again: the cause may be gone, such as a copy that was under way.

While the same version is refused, the pause doubles each time.
"""
LONGEST_RETRY_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 60.0
"""Longest wait of a starting worker for the registry, before it goes on without a model."""
_ARTIFACT = ("mlflow_model", "artifacts", "value_model")

log = structlog.get_logger("fivefold.model")


@dataclass(frozen=True)
class ServedModel:
    """A model, its version, its name and the run that trained it; a request uses one of these to its end."""

    model: ValueModel
    version: int
    name: str
    run_id: str = ""

    def description(self) -> dict[str, Any]:
        """Describe the model as explanations show it."""
        return {
            "name": self.name,
            "version": self.version,
            "fingerprint": self.model.fingerprint,
            "rates_date": self.model.rates.as_known_on.isoformat(),
        }


class _Retry:
    """Decides when a subject that could not serve is tried again: see `RETRY_SECONDS`.

    Attributes:
        why: the reason that it could not serve; empty if nothing is put off.
    """

    def __init__(self) -> None:
        self.why = ""
        self._subject: object = None
        self._at = 0.0
        self._pause_seconds = RETRY_SECONDS

    def waits(self, subject: object) -> bool:
        """Return whether it is too early to try a subject again."""
        return subject == self._subject and monotonic() <= self._at

    def put_off(self, subject: object, why: str) -> None:
        """Note that a subject could not serve; it may be tried again after a pause."""
        is_again = subject == self._subject
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_RETRY_SECONDS) if is_again else RETRY_SECONDS
        self._subject, self.why, self._at = subject, why, monotonic() + self._pause_seconds

    def forget(self) -> None:
        """Forget the last failure, so that the next champion is loaded at once."""
        self._subject, self.why = None, ""


class ChampionLoader:
    """Loads the champion, and polls the registry for a new one in a thread of its own.

    Attributes:
        current: the model that serves; None until the first one is warm.
        refused: why the newest champion does not serve; empty if it does.
        withdrawn: whether the registry, which still had the version that served, named no champion, and none has served
            since. A loaded model goes on answering requests, but values no stored customers.
    """

    def __init__(self, settings: Settings) -> None:
        """Load nothing before `start`."""
        self.current: ServedModel | None = None
        self.refused = "no model was loaded yet"
        self.withdrawn = False
        self._settings = settings
        self._champion_retry = _Retry()
        self._last_known_retry = _Retry()
        self._store = settings.bentoml_home / "models"
        self._note = ServedNote(settings.var / f"{settings.model_name}.served")
        self._first_poll_done = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="model-watch", daemon=True)

    def start(self) -> None:
        """Start polling, and wait for the first poll, so that a worker takes no requests before it has a model.

        The wait also ends without a model: it never keeps a worker from starting. From here on BentoML's store is that
        of the settings: before it imported the service, `bentoml serve` chose one that installations may share.
        """
        BentoMLContainer.model_store.set(ModelStore(self._store))
        self._thread.start()
        self._first_poll_done.wait(FIRST_LOOK_SECONDS)

    def stop(self) -> None:
        """Stop polling after the load in progress: a thread that is cut off there may block the end of the process."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def refresh(self) -> None:
        """Poll the alias once: load, check and warm a new champion, then swap; otherwise keep the present one."""
        try:
            champion, is_withdrawn, why = self._champion()
        except Exception as error:  # noqa: BLE001 (serving goes on, however the registry fails)
            self._serve_last_known(f"the registry cannot be reached: {type(error).__name__}")
            return
        if champion is None:
            self._champion_retry.forget()
            if is_withdrawn:
                self.withdrawn = True
                self._note.remember_withdrawal()
                self._say_refused(None, why)
            else:
                self._serve_last_known(why)
            return
        # A number alone does not identify a version: a recreated registry begins with 1 again, and has other runs.
        version = champion.number, champion.run_id
        if self.current and (self.current.version, self.current.run_id) == version:
            if self._note.is_withdrawn():
                self._remember(self.current)
            self._refuse_none()
            return
        self.withdrawn = self.withdrawn or self._note.is_withdrawn()
        if self._champion_retry.waits(version):
            self._say_refused(champion.number, self._champion_retry.why)
            return
        self._swap_to(champion)
        if self.current is None and not self.withdrawn:
            # A version from before the champion serves, as in `_remember`; the champion stays refused.
            self._serve_one_of(each for each in self._note.versions() if each.number < champion.number)

    def _champion(self) -> tuple[RegisteredVersion | None, bool, str]:
        """Return the champion, whether it was withdrawn, and why there is none, which is empty if there is one.

        A registry without the version that served counts as lost; its champion was not withdrawn.
        """
        settings, name = self._settings, self._settings.model_name
        if not settings.has_registry:  # to open it would create it
            return None, False, no_versions_text(settings, name)
        registry = Registry(settings, name)
        champion = registry.champion()
        if champion is not None:
            return champion, False, ""
        served = self._served_here()
        is_withdrawn = served is not None and registry.has_version(*served)
        if not registry.numbers():
            return None, is_withdrawn, no_versions_text(settings, name)
        if served is not None and not is_withdrawn:
            lost = f"has no champion in {settings.registry_shown}, and no version {served[0]} as it served here"
            return None, False, f"{name} {lost}: restore that registry from a backup, or promote a version of this one"
        advice = "promote a version (`fivefold models` lists them), or run `fivefold train`"
        return None, is_withdrawn, f"{name} has no champion: {advice}"

    def _served_here(self) -> tuple[int, str | None] | None:
        """Return the number and the hash of the model that serves, or that a start without a registry would serve."""
        if self.current is not None:
            return self.current.version, self.current.model.content_hash
        versions = self._last_known()
        if not versions:
            return None
        last = versions[0]
        pinned = _pinned_model(self._tag(last.number)) if last.content_hash is None else None
        return last.number, last.content_hash if pinned is None else saved_hash(_folder_of(pinned))

    def _swap_to(self, champion: RegisteredVersion) -> None:
        """Serve the champion, or refuse it."""
        why = self._serve(ServedVersion(champion.number), champion)
        if why:
            self._champion_retry.put_off((champion.number, champion.run_id), why)
            self._say_refused(champion.number, why)
            return
        self._refuse_none()
        if self.current is not None:
            self._remember(self.current)

    def _serve(self, version: ServedVersion, champion: RegisteredVersion | None) -> str:
        """Serve a version; return why it cannot serve, which is empty if it does.

        Without *champion* it can be loaded from its pinned copy alone.
        """
        try:
            served = self._pinned(version, champion)
            warm_up_model(served.model)
        except FivefoldError as error:
            return str(error)
        except UNEXPECTED_ERRORS as error:  # a broken model must not end the service
            return f"version {version.number} cannot be loaded: {type(error).__name__}"
        before = self.current.version if self.current else None
        self.current = served
        log.info("model serves", version=version.number, before=before)
        return ""

    def _serve_one_of(self, versions: Iterable[ServedVersion]) -> list[str]:
        """Serve the first pinned version that can; return why those before it cannot."""
        reasons = list[str]()
        for version in versions:
            why = self._serve(version, None)
            if not why:
                break
            reasons.append(why)
        return reasons

    def _pinned(self, version: ServedVersion, champion: RegisteredVersion | None) -> ServedModel:
        """Import a version into BentoML's store, once on this machine, and load it from there.

        The files are checked before the model is tried: the result of a trial holds for later copies too.
        """
        name, number = self._settings.model_name, version.number
        with FileLock(self._settings.var / "bentoml.lock"):
            pinned = self._last_copy(number) if champion is None else self._copy_of(champion)
            folder = _folder_of(pinned)
            content_hash = require_whole(folder)
            trained_by = str(pinned.info.metadata.get("mlflow_run_id"))
            if champion is not None:
                require_registered(content_hash, champion.tags.get("content_hash"), f"version {number}")
            elif not version.may_be(trained_by, content_hash):
                raise ModelError(
                    f"the copy of version {number} in {self._store} is not the model that served here; "
                    "a start with the registry imports it again"
                )
            require_sound(folder, self._settings.var / f"{name}.trials", number, trained_by)
        return ServedModel(ValueModel.load(folder), number, name, trained_by)

    def _tag(self, number: int) -> str:
        return f"{self._settings.model_name}:v{number}"

    def _last_copy(self, number: int) -> bentoml.Model:
        """Return the pinned copy of a version that cannot be imported now; ModelError if there is none."""
        pinned = _pinned_model(self._tag(number))
        if pinned is None:
            raise ModelError(
                f"version {number} served here, and its copy is not in {self._store}; "
                "a start with the registry imports it again"
            )
        return pinned

    def _copy_of(self, champion: RegisteredVersion) -> bentoml.Model:
        """Return the pinned copy of the champion, imported if need be; another model under its tag is deleted first."""
        tag = self._tag(champion.number)
        pinned = _pinned_model(tag)
        if pinned is not None:
            if _is_copy(pinned, champion):
                return pinned
            bentoml.models.delete(tag)
        name = self._settings.model_name
        Registry(self._settings, name).use()
        metadata = {"mlflow_name": name, "mlflow_version": champion.number, "mlflow_run_id": champion.run_id}
        bentoml.mlflow.import_model(tag, f"models:/{name}/{champion.number}", metadata=metadata)
        return bentoml.models.get(tag)

    def _serve_last_known(self, why: str) -> None:
        """Go on without a champion, for the reason *why*; at start, serve the last known version that can.

        At start none is served if the champion was last known to be withdrawn.
        """
        if self.current is None and self._note.is_withdrawn():
            self._say_refused(None, f"{why}; its champion was withdrawn before")
            return
        if self.current is None:
            versions = self._last_known()
            subject = versions, self._pinned_numbers()
            if not self._last_known_retry.waits(subject):
                self._last_known_retry.put_off(subject, "; ".join(self._serve_one_of(versions)))
        left_out = self._last_known_retry.why
        self._say_refused(None, f"{why}; {left_out}" if left_out else why)

    def _last_known(self) -> list[ServedVersion]:
        """Return the versions that served here, the last one first; if none is noted, the newest pinned one.

        Models pinned outside `FIVEFOLD_VAR` may belong to another installation: there only the note counts.
        """
        is_ours = self._store.is_relative_to(self._settings.var)
        return self._note.versions() or [ServedVersion(number) for number in self._pinned_numbers()[:1] if is_ours]

    def _pinned_numbers(self) -> list[int]:
        """Return the numbers of the versions that are pinned here, the newest copy first."""
        try:
            models = bentoml.models.list(self._settings.model_name)
        except bentoml.exceptions.NotFound:  # no model of that name was pinned here
            return []
        pinned = [
            (model.creation_time, int(str(model.info.metadata["mlflow_version"])))
            for model in models
            if "mlflow_version" in model.info.metadata
        ]
        return [number for _, number in sorted(pinned, reverse=True)]

    def _say_refused(self, number: int | None, why: str) -> None:
        """Note why the champion does not serve, and log it once; *number* is None if it is unknown."""
        if why != self.refused:
            log.warning("champion refused", version=number, why=why)
        self.refused = why

    def _refuse_none(self) -> None:
        """Note that the champion serves."""
        self.refused = ""
        self.withdrawn = False
        self._champion_retry.forget()
        self._last_known_retry.forget()

    def _remember(self, served: ServedModel) -> None:
        """Note the model that serves, for a start without the registry."""
        self._note.remember(ServedVersion(served.version, served.run_id, served.model.content_hash))

    def _poll(self) -> None:
        while not self._ended.is_set():
            try:
                self.refresh()
            except UNEXPECTED_ERRORS as error:  # a damaged store of models must not end the polling
                self._say_refused(None, f"the models cannot be read: {type(error).__name__}")
            self._first_poll_done.set()
            self._ended.wait(POLL_SECONDS)


def _pinned_model(tag: str) -> bentoml.Model | None:
    """Return the pinned copy under a tag, or None; if v1 is missing, BentoML's own `get` would return v10."""
    return next(iter(bentoml.models.list(tag)), None)


def _is_copy(pinned: bentoml.Model, champion: RegisteredVersion) -> bool:
    """Return whether a pinned model is whole, and the one that was registered.

    A recreated registry has the same number for another run. A copy is damaged if the files of the version were still
    being written, or the disk was full. Another copy does not help a model of another catalogue, nor a whole one that
    another worker imported just now: then the files of the version are not the registered model.
    """
    if pinned.info.metadata.get("mlflow_run_id") != champion.run_id:
        return False
    try:
        content_hash = require_whole(_folder_of(pinned))
    except FingerprintMismatchError:
        return True
    except ModelError:
        return False
    is_new = datetime.now(UTC) - pinned.creation_time < timedelta(seconds=RETRY_SECONDS)
    return is_new or may_be_same_model(champion.tags.get("content_hash"), content_hash)


def _folder_of(pinned: bentoml.Model) -> Path:
    return Path(pinned.path).joinpath(*_ARTIFACT)
