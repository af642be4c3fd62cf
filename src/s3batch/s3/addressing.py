"""Where a bucket is reached: host, path, signing region; path style or virtual-host style.

In:  an endpoint's URL (or AWS, by region), the addressing style, a bucket's name. Out: a :class:`BucketAddress`, from
which URLs are made by appending an encoded key. Addresses are worked out once per bucket, not per request.
AWS's endpoints (partitions, dual stack, FIPS, names that do not fit a host) come from botocore's endpoint rules, so
they are the same as those of AWS's own tools. No request is made here.

Left out: directory buckets (they need session signing), multi-region access points (SigV4A).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader
from botocore.utils import is_valid_ipv6_endpoint_url

from s3batch.model.errors import RefusedError, UsageError

STYLES = ("auto", "path", "virtual")
DEFAULT_REGION = "us-east-1"
"""Signed for where none is configured: what most other stores accept, and where AWS tells a bucket's real region."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_BUCKET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:\-]*")
_HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9\-]*[a-z0-9])?")
_MAX_LABEL = 63
_AWS_HOST = re.compile(r"(?:\A|\.)s3[a-z0-9.\-]*\.amazonaws\.(?:com|com\.cn|eu)\Z|\.vpce\.amazonaws\.com\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketAddress:
    """Where the requests for one bucket go."""

    origin: str
    """Scheme and host, with the port where it is not the default one; no slash at the end."""
    host: str
    """The ``Host`` header as libcurl sends it."""
    bucket_path: str
    """The encoded path of requests about the bucket itself."""
    key_prefix: str
    """An encoded key appended to this is the path of requests about an object."""
    region: str
    """For signing."""
    service: str = "s3"
    """For signing."""


class Endpoints(Protocol):
    """Resolves AWS's endpoints."""

    def __call__(self, bucket: str | None, region: str) -> tuple[str, str, str]:
        """Return URL, signing region and signing service."""


class AddressBook:
    """The addresses of one store's buckets, with what was learned about their regions."""

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        region: str,
        addressing: str = "auto",
        aws_endpoints: Endpoints | None = None,
    ) -> None:
        """Address ``endpoint_url``, or AWS's endpoint of each bucket's region where that is ``None``.

        Raises:
            UsageError: the URL or the style cannot be used.
        """
        if addressing not in STYLES:
            raise UsageError(f"{addressing!r} is no addressing style.", way_out=f"Use one of {', '.join(STYLES)}.")
        self._style = addressing
        self._custom = None if endpoint_url is None else parse_endpoint(endpoint_url)
        self._aws_endpoints = aws_endpoints or aws_endpoint_rules(force_path_style=addressing == "path")
        self._region = region
        self._region_by_bucket: dict[str, str] = {}
        self._address_by_bucket: dict[str, BucketAddress] = {}
        self.is_aws = self._custom is None or _AWS_HOST.search(self._custom.hostname or "") is not None
        self.endpoint = self._aws_endpoints(None, region)[0] if self._custom is None else origin_of(self._custom)

    @property
    def region(self) -> str:
        """Return the region of buckets about which nothing else is known."""
        return self._region

    def address(self, bucket: str) -> BucketAddress:
        """Return where this bucket is.

        Raises:
            RefusedError: the name cannot be a bucket's, or its kind of bucket is not supported.
        """
        known = self._address_by_bucket.get(bucket)
        if known is None:
            known = self._resolve(bucket)
            self._address_by_bucket[bucket] = known
        return known

    def correct_region(self, bucket: str, region: str) -> bool:
        """Remember where the store says the bucket is; tell whether that was news."""
        if self.address(bucket).region == region:
            return False
        self._region_by_bucket[bucket] = region
        self._address_by_bucket.pop(bucket, None)
        return self.address(bucket).region == region

    def _resolve(self, bucket: str) -> BucketAddress:
        require_bucket(bucket)
        region = self._region_by_bucket.get(bucket, self._region)
        if self._custom is not None:
            return self._custom_address(self._custom, bucket, region)
        url, signing_region, service = self._aws_endpoints(bucket, region)
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        return _address(parts, bucket_path=path or "/", base=path, region=signing_region, service=service)

    def _custom_address(self, parts: SplitResult, bucket: str, region: str) -> BucketAddress:
        base = parts.path.rstrip("/")
        host = parts.hostname or ""
        wants_virtual = self._style == "virtual" or (self._style == "auto" and self.is_aws)
        if wants_virtual and not _is_ip(host) and fits_host(bucket, is_tls=parts.scheme == "https"):
            netloc = f"{bucket}.{parts.netloc}"
            return _address(parts._replace(netloc=netloc), bucket_path=f"{base}/", base=base, region=region)
        path = f"{base}/{quote(bucket, safe='-._~')}"
        return _address(parts, bucket_path=path, base=path, region=region)


def require_bucket(bucket: str) -> None:
    """Refuse what can be no bucket's name; a wrong one would make the path of another request.

    Raises:
        RefusedError: code ``InvalidBucketName``.
    """
    if _BUCKET.fullmatch(bucket) is None and not bucket.startswith("arn:"):
        raise RefusedError(f"{bucket!r} is no bucket's name.", code="InvalidBucketName", way_out="Correct the name.")


def parse_endpoint(url: str) -> SplitResult:
    """Return an endpoint's URL in parts: http or https, a host, perhaps a port and a path.

    Raises:
        UsageError: anything else, for example user names, a query, or no scheme.
    """
    way_out = "Write the endpoint as https://HOST[:PORT][/PATH]."
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no endpoint: {error}.", way_out=way_out) from error
    host = parts.hostname
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError(f"{url!r} is no endpoint.", way_out=way_out)
    if ":" in host:
        if not is_valid_ipv6_endpoint_url(url.strip()):
            raise UsageError(f"{url!r} has no valid IPv6 address.", way_out=way_out)
        host = f"[{host}]"
    is_default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    # libcurl leaves the default port out of Host, and Host is signed
    return parts._replace(netloc=host if is_default else f"{host}:{port}")


def origin_of(parts: SplitResult) -> str:
    """Return an endpoint as people read it: without the slash at the end."""
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def fits_host(bucket: str, *, is_tls: bool) -> bool:
    """Return whether the name can be part of a host: DNS labels, over TLS only one (wildcard certificates)."""
    labels = bucket.split(".")
    if is_tls and len(labels) > 1:
        return False
    return not _is_ip(bucket) and all(len(label) <= _MAX_LABEL and _HOST_LABEL.fullmatch(label) for label in labels)


def aws_endpoint_rules(
    *, force_path_style: bool = False, use_fips: bool = False, use_dualstack: bool = False, loader: Loader | None = None
) -> Endpoints:
    """Return a resolver over botocore's own endpoint rules for S3; they are read at the first use (about 40 ms)."""
    provider: list[EndpointProvider] = []
    fixed = {
        "UseFIPS": use_fips,
        "UseDualStack": use_dualstack,
        "ForcePathStyle": force_path_style,
        "Accelerate": False,
        "UseGlobalEndpoint": False,
        "DisableMultiRegionAccessPoints": False,
        "UseArnRegion": True,
    }

    def resolve(bucket: str | None, region: str) -> tuple[str, str, str]:
        if not provider:
            source = loader or Loader()
            rules = source.load_service_model("s3", "endpoint-rule-set-1")
            provider.append(EndpointProvider(rules, source.load_data("partitions")))
        parameters = fixed | {"Region": region} | ({} if bucket is None else {"Bucket": bucket})
        return _resolved(provider[0].resolve_endpoint, parameters, bucket or "")

    return resolve


def _resolved(
    resolve_endpoint: Callable[..., Any], parameters: Mapping[str, object], bucket: str
) -> tuple[str, str, str]:
    try:
        endpoint = resolve_endpoint(**parameters)
    except EndpointProviderError as error:
        raise RefusedError(
            f"AWS has no endpoint for bucket {bucket!r} in region {parameters['Region']!r}: {error}.",
            code="NoEndpoint",
            way_out="Check the bucket's name and the region.",
        ) from error
    schemes = [scheme for scheme in endpoint.properties.get("authSchemes", []) if scheme.get("name") == "sigv4"]
    if not schemes:
        raise RefusedError(
            f"{bucket!r} needs another way of signing than SigV4 (a directory bucket or a multi-region access point).",
            code="BucketNotSupported",
            way_out="Use a general purpose bucket.",
        )
    return endpoint.url, schemes[0]["signingRegion"], schemes[0]["signingName"]


def _address(parts: SplitResult, *, bucket_path: str, base: str, region: str, service: str = "s3") -> BucketAddress:
    return BucketAddress(
        origin=f"{parts.scheme}://{parts.netloc}",
        host=parts.netloc,
        bucket_path=bucket_path,
        key_prefix=f"{base}/",
        region=region,
        service=service,
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
