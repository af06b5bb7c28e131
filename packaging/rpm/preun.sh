# 0: removed; 1: an upgrade, which stops nothing.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl stop tunneld.service 'tunneld@*.service' || :
    fi
    if command -v systemctl >/dev/null; then
        systemctl --no-reload --quiet disable tunneld.service tunneld@.service || :
    fi
fi
