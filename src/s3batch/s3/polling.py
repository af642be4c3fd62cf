"""Waiting for libcurl's sockets on an asyncio loop.

In: which file descriptor libcurl wants watched, and for what. Out: one callback with all that is ready.
On Linux all descriptors live in one epoll set of our own, and only that set is registered with the loop: one event of
the loop then serves many sockets, and asyncio costs nothing measurable per request. Elsewhere each socket is registered
with the loop itself. libcurl is not called from here.

Registrations in the epoll set are kept when libcurl loses interest, because between two requests on one connection it
always does. A kept one may belong to a descriptor that was closed since and whose number is in use again, and nothing
reliable tells so: libcurl's CLOSESOCKETFUNCTION does not reach Python when the easy handle that opened the connection
is idle (pycurl 7.49: "closesocket_callback failed to acquire thread"). So each new wish is told to the kernel, which
knows: it drops closed descriptors by itself and then answers ENOENT.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

import pycurl

OnEvents = Callable[[list[tuple[int, int]]], None]
"""Takes (descriptor, libcurl's event bits) for each descriptor that is ready."""

MAX_EVENTS = 1024
"""The most events taken at once; the rest is ready in the next turn of the loop."""


class Poller(Protocol):
    """What the transport needs: a level-triggered watch on descriptors."""

    def watch(self, fd: int, wish: int) -> None:
        """Watch for ``POLL_IN``, ``POLL_OUT`` or both; replaces an earlier wish."""

    def unwatch(self, fd: int) -> None:
        """Forget the wish; an event may still come once."""

    def close(self) -> None:
        """Let go of the loop."""


def new_poller(loop: asyncio.AbstractEventLoop, on_events: OnEvents) -> Poller:
    """Return the best poller of this system."""
    return EpollPoller(loop, on_events) if hasattr(select, "epoll") else LoopPoller(loop, on_events)


class EpollPoller:
    """One epoll set, itself watched by the loop (Linux)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_events: OnEvents) -> None:
        """Start listening."""
        self._loop = loop
        self._on_events = on_events
        self._wanted: set[int] = set()
        self._registered: set[int] = set()
        self._epoll = select.epoll()
        self._mask_by_wish = {
            pycurl.POLL_IN: select.EPOLLIN,
            pycurl.POLL_OUT: select.EPOLLOUT,
            pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
        }
        self._bits_by_events = tuple(_curl_bits(events) for events in range(0x20))
        loop.add_reader(self._epoll.fileno(), self._on_readable)

    def watch(self, fd: int, wish: int) -> None:
        """Register or change; see the module's text for why a kept registration is never trusted."""
        mask = self._mask_by_wish[wish]
        self._wanted.add(fd)
        if fd in self._registered:
            try:
                self._epoll.modify(fd, mask)
            except FileNotFoundError:
                self._epoll.register(fd, mask)
            return
        try:
            self._epoll.register(fd, mask)
        except FileExistsError:
            self._epoll.modify(fd, mask)
        self._registered.add(fd)

    def unwatch(self, fd: int) -> None:
        """Forget the wish and keep the registration."""
        self._wanted.discard(fd)

    def close(self) -> None:
        """Let go of the loop and close the set."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _on_readable(self) -> None:
        bits = self._bits_by_events
        wanted = self._wanted
        ready = []
        for fd, events in self._epoll.poll(0, MAX_EVENTS):
            if fd in wanted:
                ready.append((fd, bits[events & 0x1F]))
            else:
                self._drop(fd)
        if ready:
            self._on_events(ready)

    def _drop(self, fd: int) -> None:
        """Unregister an idle connection on which something happened: in most cases its server closed it."""
        self._registered.discard(fd)
        try:
            self._epoll.unregister(fd)
        except OSError:
            return  # closed since


class LoopPoller:
    """Each descriptor registered with the loop itself (macOS, and any loop with ``add_reader``)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_events: OnEvents) -> None:
        """Start with nothing to watch."""
        self._loop = loop
        self._on_events = on_events
        self._wish_by_fd: dict[int, int] = {}

    def watch(self, fd: int, wish: int) -> None:
        """Tell the loop what has changed."""
        before = self._wish_by_fd.get(fd, 0)
        self._wish_by_fd[fd] = wish
        if wish & ~before & pycurl.POLL_IN:
            self._loop.add_reader(fd, self._on_events, [(fd, pycurl.CSELECT_IN)])
        if wish & ~before & pycurl.POLL_OUT:
            self._loop.add_writer(fd, self._on_events, [(fd, pycurl.CSELECT_OUT)])
        if before & ~wish & pycurl.POLL_IN:
            self._loop.remove_reader(fd)
        if before & ~wish & pycurl.POLL_OUT:
            self._loop.remove_writer(fd)

    def unwatch(self, fd: int) -> None:
        """Unregister at once: libcurl may close the descriptor next."""
        before = self._wish_by_fd.pop(fd, 0)
        if before & pycurl.POLL_IN:
            self._loop.remove_reader(fd)
        if before & pycurl.POLL_OUT:
            self._loop.remove_writer(fd)

    def close(self) -> None:
        """Unregister all."""
        for fd in tuple(self._wish_by_fd):
            self.unwatch(fd)


def _curl_bits(events: int) -> int:
    """Return libcurl's bits for epoll's; a hang-up is read as the end of the stream."""
    bits = 0
    if events & (select.EPOLLIN | select.EPOLLHUP):
        bits |= pycurl.CSELECT_IN
    if events & select.EPOLLOUT:
        bits |= pycurl.CSELECT_OUT
    if events & select.EPOLLERR:
        bits |= pycurl.CSELECT_ERR
    return bits
