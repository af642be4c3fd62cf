"""What the machine says about its network: proxies from the environment, and whom to trust for TLS.

In: the environment's variables and the system's files. Out: a proxy for an address, the path of a CA bundle.
libcurl is told both explicitly: left alone it would read other variables than other tools do, and the CA file's path of
the machine that built its wheel.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

SYSTEM_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Where systems keep their CA bundle; the list of Go's crypto/x509 (root_linux.go, root_darwin.go, read 2026-11)."""


def default_ca_bundle() -> str:
    """Return the CA bundle to trust: ``SSL_CERT_FILE``, the system's (it knows a site's own CA), else certifi's."""
    candidates = (ssl.get_default_verify_paths().cafile, *SYSTEM_CA_BUNDLES)
    return next((path for path in candidates if path and Path(path).is_file()), certifi.where())


def environment_proxy(url: str) -> str:
    """Return the proxy for an address as ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` have it.

    The empty text means a direct connection.
    """
    proxies = getproxies()
    if not proxies:
        return ""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all") or ""


def proxy_from_environment() -> Callable[[str], str] | None:
    """Return :func:`environment_proxy`, or None (cheaper per request) when no proxy is set at all."""
    return environment_proxy if getproxies().keys() - {"no"} else None
