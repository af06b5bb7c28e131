# As packaging/deb/postinst: nothing is started, and an upgrade leaves what runs as it is.
systemd-sysusers tunneld.conf || :
systemd-tmpfiles --create tunneld.conf || :
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload || :
    if [ "$1" -gt 1 ]; then
        systemctl list-units --plain --no-legend --state=active 'tunneld.service' 'tunneld@*.service' | while read -r unit _; do
            echo "tunneld: $unit goes on with the old version. Take the new one with: systemctl restart $unit"
        done
    fi
fi
