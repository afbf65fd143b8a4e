#!/bin/sh
# Debian packages that a step needs: installed through apt as root, named in one copyable command otherwise.
set -eu
PYTHON=${PYTHON:-python3}
PATH="$PATH:/usr/sbin:/sbin" # not on every user's path

need() { packages="$packages $1"; }
packages=""
for purpose in "$@"; do
    case $purpose in
    venv) "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv ;;
    broker) command -v mosquitto >/dev/null || need mosquitto ;;
    cameras) # Aravis and GStreamer with their bindings, and what makes the tests' networks
        command -v arv-fake-gv-camera-0.8 >/dev/null || need aravis-tools
        command -v ip >/dev/null || need iproute2
        ls /usr/lib/*/girepository-1.0/Aravis-0.8.typelib >/dev/null 2>&1 || need gir1.2-aravis-0.8
        ls /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib >/dev/null 2>&1 || need gir1.2-gst-rtsp-server-1.0
        ls /usr/lib/*/gstreamer-1.0/libgstjpeg.so >/dev/null 2>&1 || need gstreamer1.0-plugins-good
        [ -e /usr/lib/python3/dist-packages/gi/__init__.py ] || need python3-gi
        ;;
    render) # EGL and a software renderer, for drawing parts without a display
        ldconfig -p | grep -q 'libEGL\.so\.1' || need libegl1
        ls /usr/lib/*/dri/swrast_dri.so /usr/lib/*/libgallium* 2>/dev/null | grep -q . || need libgl1-mesa-dri
        ;;
    browser) # Debian's, for the tests of the page
        command -v chromium >/dev/null || need chromium
        command -v chromedriver >/dev/null || need chromium-driver
        ;;
    metrics) # Prometheus with promtool, for the tests of metrics, rules and dashboard
        command -v prometheus >/dev/null && command -v promtool >/dev/null || need prometheus
        ;;
    database) # PostgreSQL, for the tests of the collector; each starts a server of its own
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || {
            need postgresql
            # Installing it must not make and start a cluster of the system's.
            if [ "$(id -u)" = 0 ] && [ -d /etc ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
                mkdir -p /etc/postgresql-common
                echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
            fi
        }
        ;;
    backup) # SQLite's program, for the test of the page on backups
        command -v sqlite3 >/dev/null || need sqlite3
        ;;
    fleet) # a web server for the repository of a fleet; each test starts its own
        command -v nginx >/dev/null || need nginx
        ;;
    fieldbus) # clients of OPC UA (node-opcua, from npm) and Modbus, for the tests of both
        command -v npm >/dev/null || need npm
        command -v node >/dev/null || need nodejs
        command -v mbpoll >/dev/null || need mbpoll
        ;;
    *) echo "unknown purpose: $purpose" >&2; exit 2 ;;
    esac
done
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing$packages"
    apt-get update -qq
    # A freshly installed Mosquitto or Prometheus would start as a service; the tests start their own.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
    echo "missing packages; run:  sudo apt-get install -y$packages" >&2
    # Without venv nothing can go on; the tests name what they lack themselves.
    case " $* " in *" venv "*) exit 1 ;; esac
fi
