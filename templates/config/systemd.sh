#!/bin/sh
# The timer of the private PKI, and what has servers read what it publishes: files for systemd. Without them servers let
# nobody in once the CRL has ended. Read it, then run it as root, perhaps with another directory than that of systemd:
#   sh FILE [DIRECTORY]
# Before that, write the issuing key's passphrase to /etc/pki/passphrase, mode 0600 and root's. Behind it:
#   systemctl daemon-reload && systemctl start pki-publish.service
#   systemctl enable --now pki-publish.timer{% if manifests %} pki-reload.path{% endif %}

{% if manifests %}
# In pki.toml, reload = "elsewhere" says of each [[publish]] without a command that pki-reload.path does it.
{% endif %}
set -eu
units=${1:-/etc/systemd/system}

mkdir -p "$units"

# Another PKI's units of this name, or another server's, would be gone without a word.
home=$(sed -n 's/^Environment="*\(PKI_HOME=[^"]*\).*/\1/p' "$units/pki-publish.service" 2>/dev/null || :)
if [ -n "$home" ] && [ "$home" != {{ environment }} ]; then
    echo "$units/pki-publish.service is of another home: $home. Give these units names of their own, and run that:" >&2
    echo "    sed 's/pki-publish/pki2-publish/g; s/pki-reload/pki2-reload/g' FILE > FILE2" >&2
    exit 1
fi
{% if manifests %}
for unit in $(sed -n 's/.*systemctl re[a-z]* \([^ ]*\).*/\1/p' "$units/pki-reload.service" 2>/dev/null || :); do
    case " {{ readers }} " in
    *" $unit "*) ;;
    *)
        echo "$units/pki-reload.service has $unit read what is published, and this would not any more. Print one for all," >&2
        echo "with --reload UNIT or --restart UNIT for each; or remove that file, and run this again." >&2
        exit 1
        ;;
    esac
done
{% endif %}

cat > "$units/pki-publish.service" <<'UNIT'
# Brings the publication of the private PKI up to date: CRLs before they end, device lists, CA certificates.
[Unit]
Description=Publish the CRLs of the private PKI
# Nothing is signed by a clock that is not set yet.
Wants=time-sync.target{% if network %} network-online.target{% endif %}

After=time-sync.target{% if network %} network-online.target{% endif %}

{% if manifests %}
# Servers read what is new, also where nobody has seen that it came.
Wants=pki-reload.service
Before=pki-reload.service
{% endif %}

[Service]
Type=oneshot
# The account that owns the home.
User={{ user }}
Environment={{ home }}
# The issuing key's passphrase, 0600 and root's: the service sees a copy in memory.
LoadCredential=pki-passphrase:/etc/pki/passphrase
# --unlock: a wrong passphrase fails the first run, and not the one that has to sign.
ExecStart={{ program }} publish --no-input --unlock
TimeoutStartSec=5min

UMask=0077
{% if not in_tmp %}
PrivateTmp=yes
{% endif %}
{% if commands %}
# A [[publish]] of pki.toml has a command, which may need sudo: what would keep that from it is not here.
{% else %}
# What it may write: the home, and every directory that a [[publish]] of pki.toml names. Print this anew when that changes.
ProtectSystem=strict
{% for path in writable %}
ReadWritePaths={{ path }}
{% endfor %}
{% if in_home %}
ProtectHome=read-only
{% else %}
ProtectHome=yes
{% endif %}
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
{% if network %}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
{% else %}
PrivateNetwork=yes
# Name services (SSSD) are asked for accounts and groups by a socket in the file system.
RestrictAddressFamilies=AF_UNIX
{% endif %}
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
{% endif %}
UNIT

cat > "$units/pki-publish.timer" <<'UNIT'
# Several times a day: it writes only where something is due, and a machine that was off catches up.
[Unit]
Description=Publish the CRLs of the private PKI several times a day

[Timer]
OnCalendar=*-*-* 00/6:17:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
UNIT
{% if manifests %}

cat > "$units/pki-reload.path" <<'UNIT'
# Has servers read every publication, whoever made it. The manifest is the last file of it that is written.
[Unit]
Description=Watch the publication of the private PKI

[Path]
{% for path in manifests %}
PathChanged={{ path }}
{% endfor %}

[Install]
WantedBy=multi-user.target
UNIT

cat > "$units/pki-reload.service" <<'UNIT'
# These read what was published: {{ readers }}
[Unit]
Description=Have servers read the publication of the private PKI
# Many publications in a row are no fault.
StartLimitIntervalSec=0

[Service]
Type=oneshot
# The directory remembers what was read last. While this runs nothing watches, so it looks again until there is nothing new.
RuntimeDirectory=pki-reload
RuntimeDirectoryPreserve=yes
TimeoutStartSec=5min
# One that is down keeps no other from it, and all are asked again the next time.
ExecStart=/bin/sh -c 'cd "$$RUNTIME_DIRECTORY" || exit; \
    while now=$$(cat "$$@" | sha256sum) || exit; [ "$$now" != "$$(cat read 2>/dev/null)" ]; do \
        failed=; \
{% for unit in reloads %}
        systemctl reload {{ unit }} || failed=yes; \
{% endfor %}
{% for unit in restarts %}
        systemctl restart {{ unit }} || failed=yes; \
{% endfor %}
        [ -z "$$failed" ] || exit; \
        echo "$$now" > read || exit; \
        sleep 3; \
    done' sh{% for argument in watched %} {{ argument }}{% endfor %}

UNIT
{% endif %}
