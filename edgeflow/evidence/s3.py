"""A store with the S3 interface, through boto3."""

from __future__ import annotations

from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from edgeflow.config.delivery import UploadConfig
from edgeflow.evidence.upload import UploadError

__all__ = ["S3Store"]

_PART_BYTES = 8 * 1024 * 1024
_TIMEOUT_S = 20
_REMEDIES = {
    "AccessDenied": "give the key the right to write there (s3:PutObject)",
    "InvalidAccessKeyId": "check evidence.upload.credentials_file",
    "SignatureDoesNotMatch": "check the secret key in evidence.upload.credentials_file",
    "NoSuchBucket": "make the bucket, or check evidence.upload.bucket",
    "RequestTimeTooSkewed": "set the computer's clock",
}


class S3Store:
    """One bucket.

    A file of more than 8 MB goes in parts. A checksum (CRC32) is sent along, and a file that arrived
    damaged is refused there.
    """

    def __init__(self, config: UploadConfig) -> None:
        session = Session()
        if config.credentials_file is not None:
            session.set_config_variable("credentials_file", str(config.credentials_file))
        self._bucket = config.bucket
        self._where = f"{config.endpoint or 'S3'}, bucket {config.bucket}"
        self._transfer = TransferConfig(
            multipart_threshold=_PART_BYTES,
            multipart_chunksize=_PART_BYTES,
            max_bandwidth=max(1, round(config.max_mbit_s * 125_000)),
            use_threads=False,
        )
        try:
            self._client = boto3.Session(botocore_session=session).client(
                "s3",
                endpoint_url=config.endpoint,
                region_name=config.region,
                verify=str(config.ca) if config.ca is not None else None,
                config=Config(
                    connect_timeout=_TIMEOUT_S,
                    read_timeout=_TIMEOUT_S,
                    retries={"max_attempts": 2, "mode": "standard"},
                    s3={"addressing_style": "path" if config.endpoint else "auto"},
                ),
            )
        except (BotoCoreError, ValueError) as cause:
            raise UploadError(f"{self._where}: {cause}") from cause

    def put(self, key: str, path: Path) -> None:
        """Store a file."""
        try:
            self._client.upload_file(str(path), self._bucket, key, Config=self._transfer)
        except S3UploadFailedError as failed:
            cause = failed.__context__
            raise UploadError(f"{self._where}: {_explained(cause or failed)}") from failed
        except (BotoCoreError, Boto3Error, ClientError) as cause:
            raise UploadError(f"{self._where}: {_explained(cause)}") from cause


def _explained(cause: BaseException) -> str:
    if isinstance(cause, ClientError):
        error = cause.response.get("Error", {})
        code = str(error.get("Code", ""))
        remedy = _REMEDIES.get(code, "see the store's log")
        return f"{code}: {str(error.get('Message', '')).rstrip('.')}; {remedy}"
    return str(cause).rstrip(".")
