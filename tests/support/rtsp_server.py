"""A real RTSP server (GStreamer's) with a user and a password, as a program of its own.

Arguments: user, password and, for H.264 instead of red pictures in MJPEG, a clip. Prints its port once it
listens.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions come first

ROLE = "camera-user"


def main(user: str, password: str, clip: str = "") -> None:
    """Serve /stream on a free port of loopback until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    red = (
        "videotestsrc is-live=true pattern=red ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 "
        "! jpegenc ! rtpjpegpay name=pay0"
    )
    played = f"filesrc location={clip} ! qtdemux ! rtph264pay config-interval=1 name=pay0"
    factory.set_launch(f"( {played if clip else red} )")
    factory.set_shared(True)
    rights = GstRtspServer.RTSPPermissions()
    for right in ("access", "construct"):
        rights.add_permission_for_role(ROLE, f"media.factory.{right}", True)
    factory.set_permissions(rights)
    server.get_mount_points().add_factory("/stream", factory)
    door, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    door.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(door)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:4])
