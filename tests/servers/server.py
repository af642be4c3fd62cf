"""A running S3 server, as a value: where it listens and with which keys.

Input: what a starter in this folder found out. Output: clients, settings and environments that reach the server.
Starting and stopping is the business of the starters (ministack, moto, ceph_rgw, stub), not of this value.
"""

import configparser
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from s3batch.config import Connection

REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One S3 endpoint with the keys of a user who may do everything, and of one who may do nothing by himself."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = REGION
    pid: int = 0
    """Of the server's (main) process."""
    other_access_key: str = ""
    """A second user, who owns nothing and may do only what a bucket's policy allows; empty where there is none."""
    other_secret_key: str = ""

    def boto3_client(self, *, service: str = "s3", as_other_user: bool = False, **settings: Any) -> Any:  # noqa: ANN401 (boto3 makes its classes at run time)
        """Return a boto3 client with path addressing, one attempt per call and short time-outs."""
        defaults: dict[str, Any] = {
            "retries": {"total_max_attempts": 1},
            "s3": {"addressing_style": "path"},
            "connect_timeout": 10,
            "read_timeout": 60,
        }
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.other_access_key if as_other_user else self.access_key,
            aws_secret_access_key=self.other_secret_key if as_other_user else self.secret_key,
            config=Config(**(defaults | settings)),
        )

    def environment(self) -> dict[str, str]:
        """Return the AWS variables that make any AWS tool, run as a subprocess, use this server and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def connection(self) -> Connection:
        """Return s3batch's settings for this server; its keys are in its profile (see ``register_profile``)."""
        return Connection(endpoint_url=self.endpoint_url, region=self.region, profile=self.profile)

    @property
    def profile(self) -> str:
        """The name of this server's profile in the credentials file of the test process."""
        return f"{self.name}-{self.endpoint_url.rpartition(':')[2]}"


def register_profile(server: Server) -> None:
    """Write the server's keys into the credentials file of this test process, so that a ``Connection`` finds them.

    The file is the one that AWS_SHARED_CREDENTIALS_FILE names; the pytest plugin beside points it to a temporary one.
    """
    path = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    profiles = configparser.ConfigParser(interpolation=None)
    profiles.read(path)
    profiles[server.profile] = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    with path.open("w") as file:
        profiles.write(file)
