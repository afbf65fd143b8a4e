"""Uploads to a server with the S3 interface: moto's, which is a simulation of AWS's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from edgeflow.config.delivery import UploadConfig
from edgeflow.evidence.s3 import S3Store
from edgeflow.evidence.upload import UploadError

KEYS = "[default]\naws_access_key_id = tester\naws_secret_access_key = secret\n"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def config(endpoint: str, tmp_path: Path) -> UploadConfig:
    (tmp_path / "keys").write_text(KEYS)
    return UploadConfig(
        bucket="evidence",
        endpoint=endpoint,
        region="us-east-1",
        credentials_file=tmp_path / "keys",
        max_mbit_s=800,
    )


def client(endpoint: str) -> object:
    session = boto3.Session("tester", "secret", region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint)


def test_small_and_large_files_arrive_whole(config: UploadConfig, endpoint: str, tmp_path: Path) -> None:
    found = client(endpoint)
    found.create_bucket(Bucket="evidence")  # type: ignore[attr-defined]
    store = S3Store(config)
    for name, size in (("small", 1000), ("large", 9 * 1024 * 1024)):
        content = os.urandom(size)
        (tmp_path / name).write_bytes(content)
        store.put(f"plant/{name}", tmp_path / name)
        store.put(f"plant/{name}", tmp_path / name)
        answer = found.get_object(Bucket="evidence", Key=f"plant/{name}")  # type: ignore[attr-defined]
        assert answer["Body"].read() == content


def test_a_bucket_that_is_missing_is_told(config: UploadConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    missing = config.model_copy(update={"bucket": "no-such-bucket"})
    with pytest.raises(
        UploadError, match=r"NoSuchBucket: .*; make the bucket, or check evidence\.upload\.bucket"
    ):
        S3Store(missing).put("key", tmp_path / "file")


def test_a_store_that_is_away_is_told(config: UploadConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    away = config.model_copy(update={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(UploadError, match="Could not connect to the endpoint"):
        S3Store(away).put("key", tmp_path / "file")


def test_a_file_that_has_gone_is_no_failure_of_the_store(config: UploadConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        S3Store(config).put("key", tmp_path / "none")
