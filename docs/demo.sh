#!/bin/sh
# A private PKI in ./demo, shown: a CA, a device, its QR code, and, where nginx and curl are installed, the device let in and
# locked out. Run it with `make demo`, as often as you like: it begins anew each time.
set -eu
umask 077

top=$(cd "$(dirname "$0")/.." && pwd)
demo=${DEMO_DIR:-$top/demo}
PATH=$PATH:/usr/sbin:/sbin
export PATH

step() { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
show() {
    printf '$ pki'
    for word; do
        case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    echo
    "$pki" "$@"
}

step "Building"
(cd "$top" && cargo build --release --quiet)
pki=${CARGO_TARGET_DIR:-$top/target}/release/pki
[ -x "$pki" ] || { echo "there is no $pki" >&2; exit 1; }

# Only what an earlier demo made is removed.
if [ -e "$demo" ] && [ ! -e "$demo/.made-by-make-demo" ]; then
    echo "$demo is there and was not made by this demo: move it away" >&2
    exit 1
fi
stop() { [ ! -s "$demo/nginx.pid" ] || kill "$(cat "$demo/nginx.pid")" 2>/dev/null || true; }
stop
rm -rf "$demo"
mkdir "$demo"
: > "$demo/.made-by-make-demo"
cd "$demo"
trap stop EXIT
trap 'exit 130' INT TERM

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; echo; }
random > root.passphrase
random > issuing.passphrase
PKI_HOME=$demo/home
PKI_ROOT_PASSPHRASE_FILE=$demo/root.passphrase
PKI_PASSPHRASE_FILE=$demo/issuing.passphrase
export PKI_HOME PKI_ROOT_PASSPHRASE_FILE PKI_PASSPHRASE_FILE

step "A CA: root and issuing CA (the passphrases are generated, and lie beside the home)"
show init --org "Acme Ltd" --domain acme.example

step "A certificate for Alice's phone, also as a QR code"
show issue alice --name "Alice Doe" --for android --qr bundle --out phones \
    --bundle-passphrase-out alice.passphrase

step "And one for Bob's"
show issue bob --out phones --bundle-passphrase-out bob.passphrase --quiet

prove() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
        -keyout server.key -out server.crt 2>/dev/null
    mkdir tmp
    port=8443
    while :; do
        cat > nginx.conf <<EOF
pid nginx.pid;
error_log error.log info;
worker_shutdown_timeout 10s;
events {}
http {
    access_log off;
    client_body_temp_path tmp/body;  proxy_temp_path tmp/proxy;  fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;       scgi_temp_path tmp/scgi;
    map \$ssl_client_serial \$revoked { default 0;  include home/server/revoked.map; }
    map \$ssl_client_serial \$device  { default "-"; include home/server/allowed.map; }
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate        server.crt;
        ssl_certificate_key    server.key;
        ssl_verify_client      on;
        ssl_verify_depth       2;
        ssl_client_certificate home/public/ca/bundle.pem;
        ssl_crl                home/public/crl/bundle.pem;
        if (\$revoked) { return 403; }
        location / { default_type text/plain; return 200 "hello \$device\n"; }
    }
}
EOF
        if nginx -p "$demo/" -c nginx.conf -e error.log 2> nginx.log; then
            break
        fi
        # Another server has the port.
        grep -q 'Address already in use' nginx.log && [ "$port" -lt 8463 ] || { cat nginx.log >&2; return 1; }
        port=$((port + 1))
    done
    note "nginx listens on https://localhost:$port and demands a certificate"
    expect "a stranger without one" 400 none
    expect "Alice's phone" 200 alice
    expect "Bob's phone" 200 bob
    step "Alice's phone is lost"
    show revoke alice --yes
    nginx -p "$demo/" -c nginx.conf -e error.log -s reload 2>> nginx.log
    # nginx reloads in the background.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        case $(status alice) in 400 | 403) break ;; esac
    done
    expect "Alice's phone" "400 or 403" alice
    expect "Bob's phone" 200 bob
}

status() {
    set -- "$1" -s -o answer -w '%{http_code}' --noproxy '*' --cacert server.crt "https://localhost:$port/"
    who=$1
    shift
    if [ "$who" = none ]; then
        curl "$@" || true
    else
        # The passphrase goes by stdin: everybody can read a command line.
        printf 'cert-type = "P12"\ncert = "phones/%s-phone.p12"\npass = "%s"\n' "$who" "$(cat "$who.passphrase")" |
            curl -K - "$@" || true
    fi
}

expect() {
    got=$(status "$3")
    case " $2 " in
        *" $got "*) note "$1: $got" ;;
        *) echo "$1: $got, and it should be $2; see $demo/error.log" >&2; exit 1 ;;
    esac
}

missing=
for program in nginx curl openssl; do
    command -v "$program" > /dev/null || missing="$missing $program"
done
if [ -z "$missing" ]; then
    step "A real nginx"
    prove
else
    step "Not shown:$missing not installed. With nginx, curl and openssl you would see the phone let in and locked out"
    show revoke alice --yes
fi

step "What there is now"
show list
show audit verify
show doctor

step "Look at"
note "demo/phones                      bundles and QR code (alice-phone.qr.png)"
note "demo/home/pki.toml               the configuration, every key explained"
note "demo/home/public, demo/home/server    what servers read"
[ -n "$missing" ] || note "demo/nginx.conf                  the server that was just used"
note "PKI_HOME=$demo/home $pki show alice"
note "docs/tutorial.md                 the same by hand"
