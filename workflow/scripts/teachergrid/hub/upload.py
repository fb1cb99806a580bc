"""Send a folder to the Hugging Face hub. Nothing else in the package sends anything there, and no job does."""

import os
from pathlib import Path

from ..errors import BadInput

TOKEN = "HF_TOKEN"
AGAIN, RIGHTS = "try again later", "the token needs the right to write there"
REFUSED = "it takes not every name, licence and size; `publish STUDENT --dry-run` shows the card and the files"
REMEDIES = {401: RIGHTS, 403: RIGHTS, 404: RIGHTS, 408: AGAIN, 409: AGAIN, 429: AGAIN}


def token(variable: str) -> str:
    """Return the token in an environment variable. It goes into no message. Raises BadInput where there is none."""
    found = os.environ.get(variable, "").strip()
    if not found:
        raise BadInput(f"{variable}: no token in this environment variable; export one with the right to write")
    return found


def push(folder: Path, repo: str, secret: str, private: bool) -> str:
    """Upload all files of a folder as one commit, and return the commit's address. The repository is made where there is none.

    Args:
        repo: owner/name.
        secret: the token.
        private: whether a new repository is private; one that exists stays as it is.
    Raises:
        BadInput: the hub refuses; the message has the remedy.
        ConnectionError: without a network.
    """
    from httpx2 import TransportError
    from huggingface_hub import HfApi, constants, errors

    api = HfApi(endpoint=constants.ENDPOINT, token=secret)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="A student of teachergrid")
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        remedy = REMEDIES.get(code, REFUSED if 400 <= code < 500 else AGAIN)
        # not the hub's own words: they may repeat the request
        raise BadInput(f"{repo}: the hub answers {code}; {remedy}") from None
    except errors.HFValidationError as error:
        raise BadInput(f"{repo}: is no name of a repository; write owner/name") from error
    except ValueError:
        raise BadInput(f"{repo}: the hub does not take the head of the card; {REFUSED}") from None
    except (TransportError, errors.OfflineModeIsEnabled):
        raise ConnectionError(
            f"{constants.ENDPOINT}: no answer; run this where there is a network, without HF_HUB_OFFLINE"
        ) from None
    return str(done.commit_url)
