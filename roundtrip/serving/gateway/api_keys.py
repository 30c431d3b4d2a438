"""Who may ask the gateway what, and how often: named API keys in a file of the gateway's state, which holds only their SHA-256.

A plain SHA-256 is right for these secrets, and a slow password hash is not: each is 256 random bits, so nobody can try them one after
the other, and every request has to be checked.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from roundtrip.contracts.errors import BadKeyFile

log = logging.getLogger(__name__)


class KeyScope(StrEnum):
    """What a key may ask for."""

    READ = "read"
    """Predict, and describe models and releases."""
    METRICS = "metrics"
    """Read the metrics, of the gateway and of the loop (plugins/pages/scraping.py)."""
    ADMIN = "admin"
    """Whatever changes something; has all that the others have."""


LOOK_S = 1.0
"""Seconds between two looks at the file: how long a revoked key still works at most."""
STACK_KEY = "stack"
"""Name of the key that the stack generates (ROUNDTRIP_GATEWAY_KEY): admin, without a limit, in no file of the gateway."""


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as it is kept."""

    name: str
    digest: str
    """SHA-256 of the secret, hexadecimal."""
    scopes: tuple[KeyScope, ...]
    rate: float | None
    """Requests a second in the long run, None for no limit; what one second allows may come at once."""
    created_at: datetime

    def allows(self, scope: KeyScope) -> bool:
        return scope in self.scopes or KeyScope.ADMIN in self.scopes


_keys_of = msgspec.json.Decoder(list[ApiKey]).decode


def new_key(name: str, *, scopes: Sequence[KeyScope], rate: float | None) -> tuple[str, ApiKey]:
    """A secret, to be shown once, and the key to be kept. The prefix lets scanners of repositories recognise it."""
    secret = f"rt_{secrets.token_urlsafe(32)}"
    return secret, ApiKey(name=name, digest=_digest(secret), scopes=tuple(scopes), rate=rate, created_at=datetime.now(UTC))


def key_file(home: Path) -> Path:
    return home / "gateway" / "api_keys.json"


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of the file, none when there is no file. Raises BadKeyFile for one that others may touch, or that holds something else."""
    try:
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    if mode & 0o077:
        raise BadKeyFile(f"{path} has mode {mode:o}, others may touch it (limit 600): look who did, then `chmod 600` it.")
    try:
        return _keys_of(content)
    except msgspec.MsgspecError as error:
        raise BadKeyFile(f"{path} holds no list of keys: {error}. Mend it, or remove it and add the keys again.") from error


@dataclass
class TokenBucket:
    """`rate` requests a second; a caller that paused may catch up on one second's worth, or on one request if that is more."""

    rate: float
    tokens: float = field(init=False)
    at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tokens = self._most

    @property
    def _most(self) -> float:
        return max(1.0, self.rate)

    def wait_s(self, now: float) -> float:
        """0 when a request may pass at `now` (seconds of time.monotonic), which it then has; else the seconds until one may."""
        self.tokens = min(self._most, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


class ApiKeys:
    """The keys that this gateway accepts. Limits are counted in this process: replicas allow as many times the rate."""

    def __init__(self, path: Path, stack_key: str) -> None:
        self._path = path
        digest = _digest(stack_key)
        self._stack = ApiKey(name=STACK_KEY, digest=digest, scopes=(KeyScope.ADMIN,), rate=None, created_at=datetime.now(UTC))
        self._keys: list[ApiKey] = []
        self._buckets: dict[str, TokenBucket] = {}
        self._seen: tuple[int, int, int] | None = None
        self._looked_at = -LOOK_S
        self._said = ""

    def find(self, secret: str) -> ApiKey | None:
        """The key with that secret. Every digest is compared, each in constant time."""
        self._look()
        given, found = _digest(secret), None
        for key in (self._stack, *self._keys):
            if hmac.compare_digest(given, key.digest):
                found = key
        return found

    def wait_s(self, key: ApiKey) -> float:
        """0 when the key's rate allows one more request now, which is then counted; else the seconds until it does."""
        if key.rate is None:
            return 0.0
        bucket = self._buckets.get(key.name)
        if bucket is None or bucket.rate != key.rate:
            bucket = self._buckets[key.name] = TokenBucket(key.rate)
        return bucket.wait_s(time.monotonic())

    def _look(self) -> None:
        """Read the file again when it was replaced. One that can't be read changes nothing: the keys that were known go on working."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        try:
            found = _identity(self._path)
            if found == self._seen:
                return
            self._keys = read_keys(self._path)
            self._buckets = {key.name: self._buckets[key.name] for key in self._keys if key.name in self._buckets}
            self._seen, self._said = found, ""
        except (BadKeyFile, OSError) as error:
            if str(error) != self._said:
                log.error("the API keys stay as they were: %s", error)
                self._said = str(error)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_mode


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
