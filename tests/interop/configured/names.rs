//! Which names an application is told of, where it folds them as CGI and PHP do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::{Value, json};

use super::servers::{Kind, Running, Setting};
use super::upstream::folded;
use super::wire::{http2, raw, say};
use super::{HOST, with};
use crate::support::{Home, Server, need, need_hypercorn, program};

on_every_server!(
    an_application_that_folds_names_is_told_one_device_and_it_is_the_right_one,
    php_is_told_the_right_device,
    what_comes_after_a_body_is_no_header,
    an_empty_look_alike_hides_no_forged_name,
);

/// What may stand in a name beside letters and digits (RFC 9110 §5.6.2).
const MARKS: &str = "-_.!#$%&'*+^`|~";

/// By these a proxy says who somebody is, or where from; and by the last one programs of CGI find their own
/// proxy.
const CLAIMS: [&str; 65] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Prefix",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Client-Cert",
    "X-Forwarded",
    "X-Real-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-Client-Cert",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-SSL-Client-Cert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-S-DN",
    "X-SSL-Client-DN",
    "SSL-Client-Cert",
    "SSL-Client-Verify",
    "X-Remote-User",
    "Remote-User",
    "X-Client-Verify",
    "Proxy",
    "Remote-Addr",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Path",
    "X-Forwarded-Method",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Original-URI",
    "X-Original-Method",
    "X-SSL-Client-CN",
    "X-SSL-Cert",
    "X-Client-S-DN",
    "X-Remote-Groups",
    "X-WebAuth-Role",
    "X-Amzn-Mtls-Clientcert-Leaf",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-Amzn-Mtls-Clientcert-Serial-Number",
    "X-Amzn-Oidc-Identity",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-Name",
    "X-MS-Client-Principal-Id",
    "Cf-Access-Authenticated-User-Email",
    "X-Goog-Authenticated-User-Email",
    "X-Authentik-Username",
    "X-Authentik-Groups",
];

/// Every way to write the device's header, three for each of the others, and two for what frames a message.
fn forged() -> Vec<String> {
    let mut names = Vec::new();
    for first in MARKS.chars() {
        for second in MARKS.chars() {
            names.push(format!("X{first}Client{second}Device"));
        }
    }
    for claim in CLAIMS {
        names.extend(["-", "_", "."].map(|mark| claim.replace('-', mark)));
    }
    // What looks like the length of a message, and is not.
    for framing in ["Transfer-Encoding", "Content-Length"] {
        names.extend(["_", "."].map(|mark| framing.replace('-', mark)));
    }
    names.sort();
    names.dedup();
    names
}

fn an_application_that_folds_names_is_told_one_device_and_it_is_the_right_one(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let names = forged();
    // Servers bound how many there may be.
    let groups: Vec<&[String]> = names.chunks(40).collect();
    judge(home, &running, &groups);
    let odd = [
        "X-Client-Device: bob/phone\r\nX-Client-Device: bob/phone\r\nx-client-device: bob/phone\r\n",
        "X-Client-Device : bob/phone\r\n",
        "X-Client-Device\t: bob/phone\r\n",
        "X-Client-Device: a\r\n bob/phone\r\n",
        "Other: a\r\n X-Client-Device: bob/phone\r\n",
        " X-Client-Device: bob/phone\r\n",
        "X-Client-Device:\r\n",
        "Other: a\rX-Client-Device: bob/phone\r\n",
        "Other: a\r\0X-Client-Device: bob/phone\r\n",
        "X\0Client-Device: bob/phone\r\n",
        "X-Client-Device\0: bob/phone\r\n",
        "X-Client-Device: bob/phone\0\r\n",
        "Other: a\0b\r\n",
        "Other: \0\r\n",
    ];
    let attempts: Vec<Value> = odd.iter().map(|lines| request(lines)).collect();
    for (lines, answer) in odd
        .iter()
        .zip(say(home, &running.server, &home.alice(), &attempts))
    {
        if answer.status() == Some(200) {
            assert_eq!(
                devices(&answer.text),
                ["HTTP_X_CLIENT_DEVICE=alice/phone"],
                "{lines:?}: {answer:?}"
            );
            // What ends a text in C never reaches an application.
            assert!(!answer.text.contains('\0'), "{lines:?}: {answer:?}");
        } else {
            assert!(
                matches!(answer.status(), None | Some(400)),
                "{lines:?}: {answer:?}"
            );
        }
    }
}

fn judge(home: &Home, running: &Running, groups: &[&[String]]) {
    let by_http1 = |names: &&[String]| request(&lines(names));
    let by_http2 = |names: &&[String]| {
        let mut headers = vec![
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/"),
            (":authority", HOST),
        ];
        let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        headers.extend(lower.iter().map(|name| (name.as_str(), "bob/phone")));
        http2(&headers)
    };
    let mut attempts: Vec<(Value, &[String])> =
        groups.iter().map(|names| (by_http1(names), *names)).collect();
    if running.kind().speaks_http2() && need_hypercorn() {
        attempts.extend(groups.iter().map(|names| (by_http2(names), *names)));
    }
    let requests: Vec<Value> = attempts.iter().map(|(request, _)| request.clone()).collect();
    for ((_, names), answer) in attempts
        .iter()
        .zip(say(home, &running.server, &home.alice(), &requests))
    {
        if answer.status() == Some(200) {
            assert_eq!(
                devices(&answer.text),
                ["HTTP_X_CLIENT_DEVICE=alice/phone"],
                "{names:?}: {answer:?}"
            );
            assert!(!answer.text.contains("bob/phone"), "{names:?}: {answer:?}");
        } else {
            assert_eq!(
                answer.status(),
                Some(400),
                "{names:?}: {answer:?}: {}",
                running.log()
            );
            // One that is refused says nothing of the others.
            if names.len() > 1 {
                let each: Vec<&[String]> = names.chunks(names.len().div_ceil(8)).collect();
                judge(home, running, &each);
            }
        }
    }
}

fn lines(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{name}: bob/phone\r\n"))
        .collect()
}

fn request(lines: &str) -> Value {
    raw(&[&format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\n{lines}Connection: close\r\n\r\n"
    )])
}

/// Every way to write a name with these marks in the place of its hyphens.
fn spellings(name: &str, marks: &str) -> Vec<String> {
    match name.split_once('-') {
        None => vec![name.to_owned()],
        Some((word, rest)) => {
            let rest = spellings(rest, marks);
            let joined = |mark| rest.iter().map(move |rest| format!("{word}{mark}{rest}"));
            marks.chars().flat_map(joined).collect()
        }
    }
}

/// A server that looks at one of several headers that an application takes for the same must not see a
/// harmless one in the other's place.
fn an_empty_look_alike_hides_no_forged_name(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let between = |names: &[String], name: &str| {
        let empty = ["*", "+"].map(|mark| name.replace('-', mark));
        let hidden = |empty: &String| !names.contains(empty) || !name.contains('-');
        let empty: String = empty
            .iter()
            .filter(|empty| hidden(empty))
            .map(|empty| format!("{empty}:\r\n"))
            .collect();
        format!("{empty}{}{empty}", lines(names))
    };
    let device = spellings("X-Client-Device", MARKS);
    let mut heads: Vec<String> = device
        .chunks(1)
        .map(|names| between(names, "X-Client-Device"))
        .collect();
    for claim in CLAIMS {
        let names = spellings(claim, "-_.");
        heads.extend(names.chunks(30).map(|names| between(names, claim)));
    }
    let attempts: Vec<Value> = heads.iter().map(|lines| request(lines)).collect();
    for (lines, answer) in heads
        .iter()
        .zip(say(home, &running.server, &home.alice(), &attempts))
    {
        if answer.status() == Some(200) {
            assert_eq!(
                devices(&answer.text),
                ["HTTP_X_CLIENT_DEVICE=alice/phone"],
                "{lines:?}: {answer:?}"
            );
            assert!(!answer.text.contains("bob/phone"), "{lines:?}: {answer:?}");
        } else {
            assert_eq!(answer.status(), Some(400), "{lines:?}: {answer:?}");
        }
    }
}

/// What the application has for a device's name, as CGI has it.
fn devices(answer: &str) -> Vec<&str> {
    answer
        .lines()
        .filter(|line| line.starts_with("HTTP_X_CLIENT_DEVICE="))
        .collect()
}

fn what_comes_after_a_body_is_no_header(kind: Kind, home: &Home) {
    let running = Running::start(kind, home);
    let trailers = [("x-client-device", "bob/phone"), ("x_client_device", "bob/phone")];
    let mut attempts: Vec<Value> = ["Trailer: X-Client-Device\r\n", ""].map(|announced| {
        raw(&[&format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n{announced}Connection: close\r\n\r\n\
             1\r\nx\r\n0\r\nX-Client-Device: bob/phone\r\nX_Client_Device: bob/phone\r\n\r\n"
        )])
    }).into();
    if kind.speaks_http2() && need_hypercorn() {
        let mut attempt = http2(&[
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/"),
            (":authority", HOST),
        ]);
        attempt["trailers"] = json!(trailers);
        attempts.push(attempt);
    }
    for answer in say(home, &running.server, &home.alice(), &attempts) {
        assert_eq!(answer.status(), Some(200), "{answer:?}: {}", running.log());
        assert_eq!(
            devices(&answer.text)[0],
            "HTTP_X_CLIENT_DEVICE=alice/phone",
            "{answer:?}"
        );
        match kind {
            // It says so in its comments: nothing of HAProxy 2.6 reaches a trailer.
            Kind::Haproxy => assert!(
                answer.text.contains("bob/phone"),
                "the comment is out of date: {answer:?}"
            ),
            Kind::Nginx | Kind::Apache | Kind::Envoy | Kind::Node | Kind::Caddy => {
                assert!(!answer.text.contains("bob/phone"), "{answer:?}");
            }
        }
    }
}

/// Tells the device as PHP has it.
const SCRIPT: &str = "<?php echo 'device=', $_SERVER['HTTP_X_CLIENT_DEVICE'] ?? 'none', \"\\n\";";

fn php_is_told_the_right_device(kind: Kind, home: &Home) {
    // Node.js is the application itself.
    if kind == Kind::Node || !need(&["php"]) {
        return;
    }
    let php = php(home);
    let setting = Setting {
        application: Some(php.port),
        ..Setting::PLAIN
    };
    let running = Running::start_as(kind, home, &setting);
    let attempts = [
        "X.Client.Device",
        "X_Client_Device",
        "X-Client.Device",
        "X.Client_Device",
    ]
    .map(|name| request(&format!("X-Client-Device: bob/phone\r\n{name}: bob/phone\r\n")));
    for answer in say(home, &running.server, &home.alice(), &attempts) {
        if answer.status() != Some(400) {
            assert!(
                answer.text.contains("device=alice/phone\n"),
                "{answer:?}: {}",
                running.log()
            );
        }
    }
}

/// Which marks PHP takes for the same, in its own words.
#[test]
fn php_folds_no_name_that_the_application_of_these_tests_does_not_fold() {
    with(Kind::Nginx, |_, home| {
        if !need(&["php"]) {
            return;
        }
        let php = php(home);
        let told = |name: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", php.port)).unwrap();
            write!(
                stream,
                "GET / HTTP/1.0\r\nHost: {HOST}\r\n{name}: bob/phone\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.contains("device=bob/phone")
        };
        let same: String = MARKS
            .chars()
            .filter(|mark| told(&format!("X{mark}Client{mark}Device")))
            .collect();
        assert!(same.contains("-_."), "{same}");
        for mark in same.chars() {
            assert_eq!(
                folded(&format!("X{mark}Client{mark}Device")),
                "HTTP_X_CLIENT_DEVICE"
            );
        }
    });
}

/// PHP's own server.
fn php(home: &Home) -> Server {
    std::fs::write(home.path("index.php"), SCRIPT).unwrap();
    let started = Server::on_free_port(|port| {
        let mut command = program("php");
        command
            .args(["-S", &format!("127.0.0.1:{port}"), "index.php"])
            .current_dir(home.path(""));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    });
    started.expect("php does not start")
}
