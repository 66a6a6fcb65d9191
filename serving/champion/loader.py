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
from filelock import FileLock

from fivefold.domain.errors import ConfigError, FingerprintMismatchError, FivefoldError, ModelError
from fivefold.domain.files import replacing
from fivefold.domain.provenance import may_be_same_model
from fivefold.domain.settings import Settings
from fivefold.models.embedded import require_registered
from fivefold.models.registry import RegisteredVersion, Registry
from fivefold.models.value_model import ValueModel, require_whole, saved_hash
from fivefold.serving.champion.trial import require_sound, warm_up_model

POLL_SECONDS = 10.0
"""Interval between looks at the alias: a new champion serves within half a minute."""
STOP_SECONDS = 10.0
"""Longest that `stop` waits for a model that is being loaded."""
RETRY_SECONDS = 60.0
"""After this a version that was refused is tried again: the cause may be gone, such as a copy that was under way.

While the same version is refused, the pause doubles each time.
"""
LONGEST_RETRY_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 60.0
"""Longest that a worker waits at its start for the registry, before it goes on without a model."""
_WITHDRAWN = "withdrawn"
"""The word behind the versions of a note where the champion was withdrawn since."""
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
    """When something that could not serve is tried again: see `RETRY_SECONDS`.

    Attributes:
        why: it could not serve; empty where nothing is put off.
    """

    def __init__(self) -> None:
        self.why = ""
        self._subject: object = None
        self._at = 0.0
        self._pause_seconds = RETRY_SECONDS

    def waits(self, subject: object) -> bool:
        """Tell whether it is too early to try a subject again."""
        return subject == self._subject and monotonic() <= self._at

    def put_off(self, subject: object, why: str) -> None:
        """Try a subject later, which could not serve just now."""
        is_again = subject == self._subject
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_RETRY_SECONDS) if is_again else RETRY_SECONDS
        self._subject, self.why, self._at = subject, why, monotonic() + self._pause_seconds

    def forget(self) -> None:
        """Try at once, whatever comes."""
        self._subject, self.why = None, ""


class ChampionLoader:
    """Loads the champion, and polls the registry for a new one in a thread of its own.

    Attributes:
        current: the model that serves; None until the first one is warm.
        refused: why the newest champion does not serve; empty where it does.
        withdrawn: the registry answered that none is the champion while it still had the version that served, and no
            champion serves since. A model that was loaded goes on answering requests; stored customers are valued by
            none.
    """

    def __init__(self, settings: Settings) -> None:
        """Load nothing before `start`."""
        self.current: ServedModel | None = None
        self.refused = "no model was loaded yet"
        self.withdrawn = False
        self._settings = settings
        self._champion_retry = _Retry()
        self._last_known_retry = _Retry()
        self._note = settings.var / f"{settings.model_name}.served"
        self._first_poll_done = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="model-watch", daemon=True)

    def start(self) -> None:
        """Start polling, and wait for the first poll, so that a worker takes no requests before it has a model.

        The wait also ends without a model: it never keeps a worker from starting.
        """
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
            champion, is_withdrawn = self._champion()
        except Exception as error:  # noqa: BLE001 (whatever the registry fails with, serving goes on)
            self._serve_last_known(f"the registry cannot be reached: {type(error).__name__}")
            return
        if champion is None:
            self._champion_retry.forget()
            why = f"{self._settings.model_name} has no champion: run `fivefold train`"
            if is_withdrawn:
                self.withdrawn = True
                self._remember_withdrawal()
                self._say_refused(None, why)
            else:
                self._serve_last_known(why)
            return
        # A number alone names no version: a registry that was made anew begins with 1 again, and with other runs.
        version = champion.number, champion.run_id
        if self.current and (self.current.version, self.current.run_id) == version:
            if _WITHDRAWN in self._noted():
                self._remember(champion.number)
            self._refuse_none()
            return
        self.withdrawn = self.withdrawn or _WITHDRAWN in self._noted()
        if self._champion_retry.waits(version):
            self._say_refused(champion.number, self._champion_retry.why)
            return
        self._swap_to(champion)
        if self.current is None and not self.withdrawn:
            # One from before the champion serves, as in `_remember`, and that stays refused.
            self._serve_one_of(number for number in self._pinned_before() if number < champion.number)

    def _champion(self) -> tuple[RegisteredVersion | None, bool]:
        """Ask for the champion, and whether it was withdrawn; a registry without the version that served was lost."""
        if not self._settings.has_registry:  # to open it would create it
            return None, False
        registry = Registry(self._settings, self._settings.model_name)
        champion = registry.champion()
        served = self._served_here() if champion is None else None
        return champion, served is not None and registry.has_version(*served)

    def _served_here(self) -> tuple[int, str | None] | None:
        """Give the number and the hash of the model that serves, or that a start without a registry would serve."""
        if self.current is not None:
            return self.current.version, self.current.model.content_hash
        numbers = self._last_known()
        pinned = _pinned_model(f"{self._settings.model_name}:v{numbers[0]}") if numbers else None
        return None if pinned is None else (numbers[0], saved_hash(_folder_of(pinned)))

    def _swap_to(self, champion: RegisteredVersion) -> None:
        """Serve the champion, or refuse it."""
        why = self._serve(champion.number, champion)
        if why:
            self._champion_retry.put_off((champion.number, champion.run_id), why)
            self._say_refused(champion.number, why)
            return
        self._refuse_none()
        self._remember(champion.number)

    def _serve(self, number: int, champion: RegisteredVersion | None) -> str:
        """Serve a version, or give the reason why it cannot; without *champion* its pinned copy is all that is known.

        The reason is empty where it serves.
        """
        try:
            served = self._pinned(number, champion)
            warm_up_model(served.model)
        except FivefoldError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (a broken model must not end the service)
            return f"version {number} cannot be loaded: {type(error).__name__}"
        before = self.current.version if self.current else None
        self.current = served
        log.info("model serves", version=number, before=before)
        return ""

    def _serve_one_of(self, numbers: Iterable[int]) -> list[str]:
        """Serve the first pinned version that can; give the reasons why those before it cannot."""
        reasons = list[str]()
        for number in numbers:
            why = self._serve(number, None)
            if not why:
                break
            reasons.append(why)
        return reasons

    def _pinned(self, number: int, champion: RegisteredVersion | None) -> ServedModel:
        """Import a version into BentoML's store, once on this machine, and load it from there.

        The files are checked before the model is tried: the result of a trial holds for later copies too.
        """
        name = self._settings.model_name
        with FileLock(self._settings.var / "bentoml.lock"):
            pinned = self._copy_of(f"{name}:v{number}", champion)
            folder = _folder_of(pinned)
            content_hash = require_whole(folder)
            if champion is not None:
                require_registered(content_hash, champion.tags.get("content_hash"), f"version {number}")
            trained_by = str(pinned.info.metadata.get("mlflow_run_id"))
            require_sound(folder, self._settings.var / f"{name}.trials", number, trained_by)
        return ServedModel(ValueModel.load(folder), number, name, trained_by)

    def _copy_of(self, tag: str, champion: RegisteredVersion | None) -> bentoml.Model:
        """Give the pinned copy under a tag; one that is not that of the *champion* is deleted, and imported anew."""
        if champion is None:
            return bentoml.models.get(tag)
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
        """Without a registry, which is *why*, go on; at start, serve the last known version that can.

        None is served at start where the last that was known of the champion is that it was withdrawn.
        """
        if self.current is None and _WITHDRAWN in self._noted():
            self._say_refused(None, f"{why}; its champion was withdrawn before")
            return
        if self.current is None:
            numbers = self._last_known()
            if not self._last_known_retry.waits(numbers):
                self._last_known_retry.put_off(numbers, "; ".join(self._serve_one_of(numbers)))
        left_out = self._last_known_retry.why
        self._say_refused(None, f"{why}; {left_out}" if left_out else why)

    def _last_known(self) -> list[int]:
        """Give the versions that served here, the last one first, or else the newest pinned one; none that is not."""
        return self._pinned_before() or self._pinned_numbers()[:1]

    def _pinned_before(self) -> list[int]:
        """Give the versions of `_served_before` that are pinned here."""
        pinned = self._pinned_numbers()
        return [number for number in self._served_before() if number in pinned]

    def _pinned_numbers(self) -> list[int]:
        """Give the versions that are pinned here, the newest copy first."""
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
        """Say why the champion does not serve, in the log once; its number is None where it is not known."""
        if why != self.refused:
            log.warning("champion refused", version=number, why=why)
        self.refused = why

    def _refuse_none(self) -> None:
        """Note that the champion serves."""
        self.refused = ""
        self.withdrawn = False
        self._champion_retry.forget()
        self._last_known_retry.forget()

    def _remember(self, number: int) -> None:
        """Write down the version that serves, for a start without a registry, after those that it may fall back to.

        Where an older one serves again, those after it were rolled back: they are none of these any more.
        """
        before = [str(each) for each in reversed(self._served_before()) if each < number]
        self._write_note([*before, str(number)])

    def _remember_withdrawal(self) -> None:
        """Write down that the champion was withdrawn, until a version serves again."""
        words = self._noted()
        if _WITHDRAWN not in words:
            self._write_note([*words, _WITHDRAWN])

    def _write_note(self, words: list[str]) -> None:
        try:
            with replacing(self._note) as unfinished:
                unfinished.write_text(" ".join(words), encoding="utf-8")
        except (OSError, ConfigError) as error:  # serving does not depend on it
            log.warning("version not noted", words=words[-1:], error=type(error).__name__)

    def _noted(self) -> list[str]:
        """Give the words of the note: versions, the last one last, and whether the champion was withdrawn since."""
        try:
            return self._note.read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return []

    def _served_before(self) -> list[int]:
        """Give the versions that served here and were not rolled back, the last one first."""
        return [int(each) for each in reversed(self._noted()) if each.isdecimal()]

    def _poll(self) -> None:
        while not self._ended.is_set():
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 (a damaged store of models must not end the polling)
                self._say_refused(None, f"the models cannot be read: {type(error).__name__}")
            self._first_poll_done.set()
            self._ended.wait(POLL_SECONDS)


def _pinned_model(tag: str) -> bentoml.Model | None:
    try:
        return bentoml.models.get(tag)
    except bentoml.exceptions.NotFound:
        return None


def _is_copy(pinned: bentoml.Model, champion: RegisteredVersion) -> bool:
    """Tell whether a pinned model is whole, and the one that was registered.

    A registry that was made anew has the same number for another run. A copy is damaged where the files of the version
    were still being written, or the disk was full. A model of another catalogue is not helped by another copy, nor is
    a whole one that another worker imported just now: the files of the version are not the registered model.
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
