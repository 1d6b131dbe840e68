//! Several servers behind one address, which take turns: HAProxy in front of two of nginx.

use std::process::Stdio;

use super::nginx::Nginx;
use super::{answers, arguments, check, codes, url};
use crate::support::{Home, Server, finish, need, program};

const PROGRAMS: [&str; 3] = ["nginx", "haproxy", "openssl"];
const DEMANDS: &str = "ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client on;";
const RESUMES: &str = "ssl_session_cache shared:devices:1m; ssl_session_tickets off;";

/// Passes each connection to the next of these ports.
fn balance(home: &Home, ports: [u16; 2]) -> Server {
    let started = Server::on_free_port(|port| {
        let [one, other] = ports;
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen api\n bind 127.0.0.1:{port}\n balance roundrobin\n server one 127.0.0.1:{one}\n \
             server other 127.0.0.1:{other}\n"
        );
        std::fs::write(home.path("balance.cfg"), text).unwrap();
        let mut command = program("haproxy");
        command
            .args(["-db", "-f", "balance.cfg"])
            .current_dir(home.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    });
    started.expect("haproxy does not start")
}

#[test]
fn one_of_two_servers_that_reads_no_publication_is_found() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nodes = ["one", "other"].map(|place| Nginx::start_in(&home, place, &[DEMANDS], program("nginx")));
    let balancer = balance(&home, nodes.each_ref().map(Nginx::port));
    let _follower = nodes[0].follow(&home);
    let verified = finish(
        home.pki(&["revoke", "alice", "--yes", "--patience", "3s", "--verify"])
            .arg(url(balancer.port, "/"))
            .args(arguments(balancer.port)),
        b"",
    );
    assert!(verified.exits(5).stderr.contains("has not acted on CRL"));
    let said = check(&home, balancer.port, &["--patience", "3s"]).exits(3);
    assert_eq!(codes(&said), ["revoked-accepted"], "{said}");
}

#[test]
fn resumption_at_each_of_two_servers_is_a_hole() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let nodes =
        ["one", "other"].map(|place| Nginx::start_in(&home, place, &[DEMANDS, RESUMES], program("nginx")));
    let balancer = balance(&home, nodes.each_ref().map(Nginx::port));
    let _followers = nodes.each_ref().map(|node| node.follow(&home));
    let said = check(&home, balancer.port, &[]).exits(3);
    assert_eq!(codes(&said), ["revoked-resumed"; 2], "{said}");
    let resumed = ["TLS 1.2", "TLS 1.3"].map(|version| format!("{version}: resumed, let in (HTTP 200)"));
    assert_eq!(answers(&said, "revoked_resumed"), resumed, "{said}");
}
