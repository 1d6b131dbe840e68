{% set pinned = sets[0] %}
#!/bin/sh
# Ask {{ pinned.host }} for something, and go on only where it has one of its keys. The pins hold until {{ pinned.expires_on }}.
# A device's certificate is given as --cert-type P12 --cert alice-phone.p12
#
#     sh curl.sh --cert-type P12 --cert alice-phone.p12 https://{{ pinned.host }}/
#
# curl looks at the server's own key alone (a pin of a CA's key would fail), and ends with 90 where it is none of these.
set -eu
{% if private %}
# The server's certificate is of this PKI.
root=$(mktemp)
trap 'rm -f "$root"' EXIT
cat > "$root" <<'PEM'
{{ root }}
PEM
curl --cacert "$root" --pinnedpubkey '{% for pin in pinned.pins %}{% if not loop.first %};{% endif %}sha256//{{ pin }}{% endfor %}' "$@"
{% else %}
# The server's certificate is of a public CA. One of this PKI needs --cacert root.crt, which is public/ca/root.crt.
exec curl --pinnedpubkey '{% for pin in pinned.pins %}{% if not loop.first %};{% endif %}sha256//{{ pin }}{% endfor %}' "$@"
{% endif %}
