//! The remedies of findings, in the configuration language of each common server: it is not known here which
//! one the checked server runs.

/// The remedy for old versions: offer only those of today.
pub const VERSIONS: &str = "offer TLS 1.2 and 1.3 alone. nginx: `ssl_protocols TLSv1.2 TLSv1.3;` in every `server` of the port; \
    Apache: `SSLProtocol -all +TLSv1.2 +TLSv1.3`; HAProxy: `ssl-min-ver TLSv1.2` on each `bind` line; \
    Envoy: `tls_minimum_protocol_version: TLSv1_2`; Caddy: `protocols tls1.2 tls1.3`; Node.js: `minVersion: \"TLSv1.2\"`";

/// The remedy for weak suites: accept only those of today.
pub const SUITES: &str = "take ECDHE with AES-GCM or ChaCha20 alone. nginx: `ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;`; \
    Apache: `SSLCipherSuite ECDHE+AESGCM:ECDHE+CHACHA20`; HAProxy: `ciphers` on the `bind` line; Envoy: `cipher_suites`; \
    Caddy: `ciphers`; Node.js: `ciphers`";

/// The remedy for weak groups: agree upon keys in those of today.
pub const GROUPS: &str = "agree upon keys by X25519 and P-256. nginx: `ssl_ecdh_curve X25519:prime256v1;`; \
    Apache: `SSLOpenSSLConfCmd Groups X25519:P-256`; HAProxy: `curves X25519:P-256` on the `bind` line; Envoy: `ecdh_curves`; \
    Caddy: `curves`; Node.js: `ecdhCurve`; DHE is best left out of the suites";

/// The remedy for a server that lets clients in without a certificate: demand one of every client, before any
/// request.
pub const DEMAND: &str = "nginx: `ssl_verify_client on;` (not `optional`) in every `server` of the port, the default one as well; \
    Apache: `SSLVerifyClient require` for the whole <VirtualHost>, and not in a <Location> or <Directory>, which asks only after the \
    request was read; HAProxy: `verify required` on each `bind` line; Envoy: `require_client_certificate: true` in each filter chain; \
    Caddy: `client_auth` with `mode require_and_verify` in each site; Node.js: `requestCert: true, rejectUnauthorized: true`; \
    where a proxy ends TLS, there";

/// The remedy for a server that answers OPTIONS to clients without a valid certificate: refuse it.
pub const PREFLIGHT: &str = "refuse OPTIONS like everything else: apps do not ask it. Where a page in a browser has to (a CORS preflight \
    shows no certificate), have the server itself answer, and hand on nothing to the application before it has seen a certificate. nginx: \
    `set $who \"$request_method $ssl_client_verify\"; if ($who = \"OPTIONS NONE\") { return 204; }`";

/// The remedy that has a server trust this PKI alone.
pub const BELIEVE: &str = "believe this PKI's certificates alone. nginx: `ssl_verify_client on;` (not `optional_no_ca`) with \
    `ssl_client_certificate` ca/bundle.pem; Apache: `SSLVerifyClient require` (not `optional_no_ca`) with `SSLCACertificateFile`; \
    HAProxy: `verify required ca-file` without `crt-ignore-err` and `ca-ignore-err`; Envoy: `trusted_ca` without \
    `trust_chain_verification: ACCEPT_UNTRUSTED`; Caddy: `mode require_and_verify` with this root alone; \
    Node.js: `rejectUnauthorized: true` with `ca`";

/// The remedy for a server that does not act on revocations: have it read each publication.
pub const READ: &str = "have the server read each publication, and read it again after each: nginx `ssl_crl` with crl/bundle.pem and a \
    reload (pki-nginx-reload.path does that); Apache: `SSLCARevocationFile` with `SSLCARevocationCheck chain` and a reload; \
    HAProxy: `crl-file` and a reload; Envoy: `crl` in the validation context; Caddy: the list that `pki config caddy` reads; \
    Node.js: `setSecureContext` with `crl`. Fetch or copy it there first where it is another machine";

/// The remedy for resumed sessions: resume none, or consult a list at each request.
pub const RESUME: &str = "resume nothing, or deny by serial number at each request. nginx: `ssl_session_cache off; ssl_session_tickets off;`, or \
    `map $ssl_client_serial $revoked { default 0; include revoked.map; }` and `if ($revoked) { return 403; }`; \
    Apache: `SSLSessionCache none` and `SSLSessionTickets off`; HAProxy: `no-tls-tickets` and `tune.ssl.cachesize 0`; \
    Envoy: `disable_stateless_session_resumption: true` and `disable_stateful_session_resumption: true`; \
    elsewhere ask devices.json at each request";

/// The remedy for revoked devices that get in on open connections or by other manners: consult a list at each
/// request.
pub const ASK: &str = "ask devices.json or revoked.map at each request, and close the connection of who is not accepted: `pki config` prints \
    that for nginx, Apache, HAProxy, Envoy, Caddy and Node.js; nginx: `worker_shutdown_timeout 10s;` ends what a reload leaves open";
