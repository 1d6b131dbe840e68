//! Servers before a home with long lists, which are written whole now and then: whoever is new gets in and
//! whoever is locked out stays out, at once.

use super::is_refused;
use super::servers::{self, Kind, Running};
use crate::support::{Bundle, Home, soak, wait_until};

macro_rules! before_many_devices {
    ($($server:ident: $kind:expr),+ $(,)?) => {$(
        mod $server {
            #[test]
            fn short_lists_beside_long_ones_let_in_and_lock_out_at_once() {
                super::with_many($kind, super::short_lists_beside_long_ones_let_in_and_lock_out_at_once);
            }

            #[test]
            fn a_server_as_configured_by_an_earlier_version_locks_out_and_lets_in() {
                super::with_many($kind, super::a_server_as_configured_by_an_earlier_version_locks_out_and_lets_in);
            }
        }
    )+};
}

before_many_devices! {
    nginx: crate::configured::Kind::Nginx,
    haproxy: crate::configured::Kind::Haproxy,
    apache: crate::configured::Kind::Apache,
    envoy: crate::configured::Kind::Envoy,
    node: crate::configured::Kind::Node,
    caddy: crate::configured::Kind::Caddy,
}

fn with_many(kind: Kind, story: impl FnOnce(Kind, &Home)) {
    if !kind.is_installed() {
        return;
    }
    let home = Home::crowded();
    servers::publish_outside(kind, &home);
    story(kind, &home);
}

fn short_lists_beside_long_ones_let_in_and_lock_out_at_once(kind: Kind, home: &Home) {
    let mut running = Running::start(kind, home);
    let (alice, bob) = (home.alice(), home.bob());
    let carol = home.issue("carol", &[]);
    let newer = home.renew("alice", &[]);
    running.reload(home);
    for (bundle, address) in [
        (&alice, "alice/phone"),
        (&newer, "alice/phone"),
        (&bob, "bob/phone"),
        (&carol, "carol/phone"),
    ] {
        is_let_in(&running, home, bundle, address);
    }
    // One that a long list names, and one that a short list names.
    for lost in [&bob, &carol] {
        home.run(&["revoke", &lost.serial, "--yes"]);
        running.reload(home);
        is_locked_out(&running, home, lost);
    }
    is_let_in(&running, home, &newer, "alice/phone");
    home.run(&["publish"]);
    running.reload(home);
    for bundle in [&alice, &newer] {
        is_let_in(&running, home, bundle, "alice/phone");
    }
    for bundle in [&bob, &carol] {
        is_locked_out(&running, home, bundle);
    }
}

/// What such a server reads is written whole by the next `pki publish`. It locks out before that, where it
/// reads CRLs or `revoked.map`.
fn a_server_as_configured_by_an_earlier_version_locks_out_and_lets_in(kind: Kind, home: &Home) {
    // Its commands for Caddy's list began three programs for each device.
    if kind == Kind::Caddy && !soak() {
        return;
    }
    let name = match kind {
        Kind::Nginx => "nginx.conf",
        Kind::Haproxy => "haproxy.cfg",
        Kind::Apache => "apache.conf",
        Kind::Envoy => "envoy.yaml",
        Kind::Node => "node.mjs",
        Kind::Caddy => "Caddyfile",
    };
    let directory = home.home().join("templates/config");
    std::fs::create_dir_all(&directory).unwrap();
    let before = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/before");
    std::fs::copy(before.join(name), directory.join(name)).unwrap();
    let mut running = Running::start(kind, home);
    let (alice, bob) = (home.alice(), home.bob());
    is_let_in(&running, home, &alice, "alice/phone");
    is_let_in(&running, home, &bob, "bob/phone");
    let carol = home.issue("carol", &[]);
    home.run(&["revoke", "bob", "--yes"]);
    if kind.reads_crls() {
        running.reload(home);
        is_locked_out(&running, home, &bob);
    }
    home.run(&["publish"]);
    running.reload(home);
    is_locked_out(&running, home, &bob);
    is_let_in(&running, home, &alice, "alice/phone");
    is_let_in(&running, home, &carol, "carol/phone");
}

/// Waits until a device gets in, as who it is: a server may take up a publication by itself.
fn is_let_in(running: &Running, home: &Home, bundle: &Bundle, address: &str) {
    wait_until(address, || {
        let (status, said) = running.server.curl(home, Some(bundle), "/");
        let is_named = said.stdout.contains(&format!("device=[{address}]\n"));
        (status == Some(200) && is_named).then_some(())
    });
}

/// Waits until a device is refused.
fn is_locked_out(running: &Running, home: &Home, bundle: &Bundle) {
    wait_until("a refusal", || {
        let (status, _) = running.server.curl(home, Some(bundle), "/");
        is_refused(status).then_some(())
    });
}
