"""Asks the hub (huggingface.co, or the address in HF_ENDPOINT) through huggingface_hub: whether that is allowed, where
its cache is, and what went wrong, in sentences."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ModelError
from ..files import cache_dir
from .download import is_offline
from .model import Repository


def cache() -> Path:
    """Returns the folder of repositories: the hub's own cache, or one in UPSCALER_HOME if only that is set."""
    hubs = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    if os.environ.get("UPSCALER_HOME") and not any(os.environ.get(name) for name in hubs):
        return cache_dir() / "hub"
    return standard_cache()


def standard_cache() -> Path:
    """Returns the folder that huggingface_hub uses by itself."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def may_not_fetch(offline: bool | None) -> bool:
    """Returns whether fetching is forbidden: by the caller or, if that is None, by the environment."""
    from huggingface_hub import constants

    return (is_offline() or bool(constants.HF_HUB_OFFLINE)) if offline is None else offline


@contextmanager
def ask_hub(repository: Repository, offline: bool | None) -> Iterator[None]:
    """Silences huggingface_hub and turns its exceptions into ModelError; raises it at once if fetching is forbidden."""
    if may_not_fetch(offline):
        raise ModelError(
            f"{repository.id}: it is not on this machine, and fetching is forbidden. Run upscaler models fetch "
            f"{repository.address} with a connection, or copy what that puts into {cache()} from another machine."
        )
    from huggingface_hub import constants, errors
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    page = f"{constants.ENDPOINT}/{repository.id}"
    had_bars, level = not are_progress_bars_disabled(), get_verbosity()
    log_in = "log in with hf auth login or set HF_TOKEN"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            disable_progress_bars()
            set_verbosity(logging.ERROR)
            yield
    except ModelError:
        raise
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repository.id}: access is gated. Its owner gives it to those who accept conditions. "
            f"Accept them at {page}, then {log_in}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{repository.id}: it has no revision {repository.revision}. Choose one of those at {page}/commits/main."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{repository.id}: the hub has no such repository, or a private one. Check the name; if it is private, "
            f"{log_in}."
        ) from error
    except Exception as error:
        text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        reason = text.splitlines()[0].partition(". ")[0].rstrip(".")
        if isinstance(error, OSError) and error.errno is not None:
            raise ModelError(
                f"{error.filename or cache()}: cannot be written ({reason}). "
                "Make room, or set HF_HOME to a folder that can."
            ) from error
        raise ModelError(
            f"{repository.id}: cannot be fetched from {constants.ENDPOINT} ({reason}). Check the connection and the "
            "proxy, and try again: what has arrived is kept."
        ) from error
    finally:
        set_verbosity(level)
        if had_bars:
            enable_progress_bars()
