#!/bin/sh
# A private PKI in ./demo, shown: a CA, a device, its QR code, and, where nginx and curl are installed, the device let in and
# locked out, and a phone that enrolls itself by the page of `pki serve`, in a browser where there is one. Run it with
# `make demo`, as often as you like: it begins anew each time. DEMO_DIR is another place, DEMO_PKI a program that is built,
# and DEMO_BROWSER=no does without a browser.
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

pki=${DEMO_PKI:-}
if [ -z "$pki" ]; then
    step "Building"
    (cd "$top" && cargo build --release --quiet)
    pki=${CARGO_TARGET_DIR:-$top/target}/release/pki
fi
[ -x "$pki" ] || { echo "there is no $pki" >&2; exit 1; }

# Only what an earlier demo made is removed.
if [ -e "$demo" ] && [ ! -e "$demo/.made-by-make-demo" ]; then
    echo "$demo is there and was not made by this demo: move it away" >&2
    exit 1
fi
service= driver=
stop() {
    # shellcheck disable=SC2086
    [ -z "$service$driver" ] || kill $service $driver 2>/dev/null || true
    [ ! -s "$demo/nginx.pid" ] || kill "$(cat "$demo/nginx.pid")" 2>/dev/null || true
}
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
    locked_out "Alice's phone" alice
    expect "Bob's phone" 200 bob
    enroll
    expect "Carol's phone" 200 carol
    step "Carol's phone is stolen"
    show revoke carol --reason stolen --yes
    locked_out "Carol's phone" carol
    expect "Bob's phone" 200 bob
}

reload() { nginx -p "$demo/" -c nginx.conf -e error.log -s reload 2>> nginx.log; }

is_out() { case $(status "$1") in 400 | 403) ;; *) false ;; esac; }

is_out_now() { reload; sleep 0.5; is_out "$1"; }

# Tries for so many seconds until it succeeds; whether it did is seen by what comes next.
wait_for() {
    tries=$(($1 * 5))
    shift
    until "$@" || [ "$tries" = 0 ]; do
        tries=$((tries - 1))
        sleep 0.2
    done
}

locked_out() {
    # nginx reloads in the background, and one that comes while another is under way may be passed over.
    wait_for 20 is_out_now "$2"
    expect "$1" "400 or 403" "$2"
}

# Carol's phone makes its key itself, and gets a certificate for the secret of an invite.
enroll() {
    step "A service by which phones enroll themselves, and an invite for Carol's"
    show server add enroll.acme.example --out tls --quiet
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=enroll.acme.example \
        -addext subjectAltName=DNS:enroll.acme.example -addext basicConstraints=critical,CA:FALSE \
        -keyout page.key -out page.crt 2>/dev/null
    sed -i "s|^\[serve\]|[serve]\\
host = \"enroll.acme.example\"\\
api = \"https://localhost:$port/\"\\
page_certificate = \"$demo/page.crt\"\\
page_key = \"$demo/page.key\"|" home/pki.toml
    page=9443
    while :; do
        sed -i "s|^host = .*|host = \"enroll.acme.example:$page\"|" home/pki.toml
        "$pki" serve --page "127.0.0.1:$page" 2> serve.log &
        service=$!
        until grep -q 'page listens' serve.log; do
            kill -0 $service 2>/dev/null || break
            sleep 0.1
        done
        kill -0 $service 2>/dev/null && break
        [ "$page" -lt 9463 ] || { cat serve.log >&2; return 1; }
        page=$((page + 1))
    done
    echo "\$ pki serve --page 127.0.0.1:$page &"
    echo "\$ pki invite create carol --name \"Carol Doe\" --out invites --json > invite.json"
    "$pki" invite create carol --name "Carol Doe" --out invites --json > invite.json
    link=$(said link < invite.json)
    note "whoever scans the code of invites/carol-phone.invite.html opens ${link%%#*}#..."
    if [ -n "$browser" ]; then
        step "Carol opens the page, here in a headless Chromium, and presses the button"
        by_browser
    else
        step "Carol's phone, here curl, as chromium and chromedriver are not installed"
        by_curl
    fi
    note "its key was made there, and it has the certificate"
    wait_for 20 grep -q carol/phone home/server/allowed.map
    reload
    wait_for 20 is_called carol carol/phone
}

# Whether nginx knows somebody by this name: it says it in its answer.
is_called() { status "$1" > /dev/null && grep -q "$2" answer; }

# A value of a JSON document, which is on one line.
said() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

# WebDriver: a method, a path, and what is asked, which goes by stdin because it may hold a secret.
drive() {
    printf '%s' "$3" | curl -s -X "$1" --noproxy '*' -H 'Content-Type: application/json' --data-binary @- \
        "http://127.0.0.1:$driver_port/$2"
}

by_browser() {
    chromedriver --port=0 > driver.log 2>&1 &
    driver=$!
    until driver_port=$(sed -n 's/.*started successfully on port \([0-9]*\).*/\1/p' driver.log) && [ -n "$driver_port" ]; do
        kill -0 $driver 2>/dev/null || { cat driver.log >&2; return 1; }
        sleep 0.1
    done
    sandbox=
    [ "$(id -u)" != 0 ] || sandbox='"--no-sandbox", '
    session=session/$(drive POST session '{"capabilities": {"alwaysMatch": {"browserName": "chrome", "acceptInsecureCerts": true,
        "goog:chromeOptions": {"args": ["--headless=new", '"$sandbox"'"--disable-gpu", "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP enroll.acme.example 127.0.0.1", "--user-data-dir='"$demo"'/browser"],
        "prefs": {"download.default_directory": "'"$demo"'/phones", "download.prompt_for_download": false}}}}}' | said sessionId)
    runs() { drive POST "$session/execute/sync" '{"args": [], "script": "'"$1"'"}'; }
    is_done() { case $(runs "return document.getElementById('done').hidden") in *false*) ;; *) false ;; esac; }
    drive POST "$session/url" '{"url": "'"$link"'"}' > /dev/null
    runs "document.getElementById('go').click()" > /dev/null
    wait_for 20 is_done
    runs "return document.getElementById('word').textContent" | said value > carol.passphrase
    runs "document.getElementById('save').click()" > /dev/null
    wait_for 20 [ -e phones/device.p12 ]
    drive DELETE "$session" '' > /dev/null
    mv phones/device.p12 phones/carol-phone.p12
}

by_curl() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=phone \
        -keyout carol.key -outform DER 2>/dev/null | openssl base64 -A > carol.csr
    printf '{"secret": "%s", "csr": "%s"}' "$(said secret < invite.json)" "$(cat carol.csr)" > request.json
    curl -s --fail --noproxy '*' --cacert page.crt --resolve "enroll.acme.example:$page:127.0.0.1" \
        -H 'Content-Type: application/json' --data-binary @request.json "${link%%#*}" > carol.crt
    random > carol.passphrase
    openssl pkcs12 -export -inkey carol.key -in carol.crt -passout file:carol.passphrase -out phones/carol-phone.p12
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
browser=
if [ "${DEMO_BROWSER:-yes}" = yes ] && command -v chromedriver > /dev/null && { command -v chromium || command -v google-chrome; } > /dev/null; then
    browser=yes
fi
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
[ -n "$missing" ] || note "demo/invites                     the invite: a sheet to print, and its code"
note "PKI_HOME=$demo/home $pki show alice"
note "docs/tutorial.md                 the same by hand"
