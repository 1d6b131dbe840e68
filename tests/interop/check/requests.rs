//! Servers that let the handshake complete and decide by the request: a rule for one method, or for one way
//! to write the host, leaves the others open.

use std::process::Stdio;

use super::nginx::Nginx;
use super::ways::beside_by_haproxy;
use super::{answers, check, check_as_device, codes, messages};
use crate::support::{Finished, HOST, Home, Server, ServerCertificate, need, program};

const PROGRAMS: [&str; 2] = ["nginx", "openssl"];
const MODERN: &str =
    "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20; ssl_verify_client optional;";

/// Refuses whose certificate is not good, where `variable` is like `pattern`, and nobody else.
fn shut_where(variable: &str, pattern: &str) -> String {
    format!(
        "set $shut \"$ssl_client_verify {variable}\"; if ($shut ~ \"^(NONE|FAILED.*) {pattern}$\") {{ return 403; }}"
    )
}

#[test]
fn a_rule_for_some_methods_leaves_the_others_open() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let [head, options, unknown, post] = [
        "by HEAD",
        "by OPTIONS",
        "by a method that there is not",
        "by POST for a path that there is not",
    ];
    for (pattern, open) in [
        ("GET", &[head, options, unknown, post][..]),
        ("(GET|HEAD)", &[options, unknown, post]),
        ("(GET|HEAD|OPTIONS|POST)", &[unknown]),
        ("(?!HEAD).*", &[head]),
        ("(?!OPTIONS).*", &[options]),
        ("(?!POST).*", &[post]),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, &shut_where("$request_method", pattern)]);
        let said = check_as_device(&home, nginx.port()).exits(3);
        let told = format!(
            "who shows no certificate is let in (HTTP 200) {}",
            open.join(" and ")
        );
        assert_eq!(
            messages(&said, "certificate-not-demanded"),
            [told],
            "{pattern}: {said}"
        );
        assert_eq!(codes(&said), ["certificate-not-demanded"], "{pattern}: {said}");
        assert_eq!(answers(&said, "no_certificate"), ["refused (HTTP 403)"], "{said}");
        // Without a device to compare with, OPTIONS may be what the server itself answers.
        let said = check(&home, nginx.port(), &["--no-canary"]).exits(3);
        let is_found = codes(&said).contains(&"certificate-not-demanded".to_owned());
        assert_eq!(is_found, open != [options], "{pattern}: {said}");
        let is_found = codes(&said).contains(&"options-answered".to_owned());
        assert_eq!(is_found, open.contains(&options), "{pattern}: {said}");
    }
    // An application that finds nothing at a path has been reached.
    let nothing = "if ($request_uri ~ nowhere$) { return 404; }";
    let nginx = Nginx::start(
        &home,
        &[MODERN, &shut_where("$request_method", "(?!POST).*"), nothing],
    );
    for said in [
        check_as_device(&home, nginx.port()),
        check(&home, nginx.port(), &["--no-canary"]),
    ] {
        let told = format!("who shows no certificate is let in (HTTP 404) {post}");
        assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
    }
    // By one of the ways alone.
    let rule = shut_where("$ssl_protocol $request_method", "(?!TLSv1.2 HEAD).*");
    let nginx = Nginx::start(&home, &[MODERN, &rule]);
    let said = check_as_device(&home, nginx.port()).exits(3);
    let told = "who shows no certificate is let in (HTTP 200) by HEAD over TLS 1.2";
    assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
}

#[test]
fn a_rule_for_one_spelling_of_the_host_leaves_the_others_open() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let [port, capitals, dot] = [
        "without the port behind the host",
        "with the host in capitals",
        "with a dot behind the host",
    ];
    for (pattern, open) in [
        ("api[.]acme[.]example:PORT", &[port, capitals, dot][..]),
        ("(?!api[.]acme[.]example$).*", &[port]),
        ("(?!API).*", &[capitals]),
        ("(?!.*e[.]:).*", &[dot]),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, &shut_where("$http_host", pattern)]);
        for said in [
            check_as_device(&home, nginx.port()),
            check(&home, nginx.port(), &["--no-canary"]),
        ] {
            let said = said.exits(3);
            let told = format!(
                "who shows no certificate is let in (HTTP 200) {}",
                open.join(" and ")
            );
            assert_eq!(
                messages(&said, "certificate-not-demanded"),
                [told],
                "{pattern}: {said}"
            );
            assert_eq!(codes(&said), ["certificate-not-demanded"], "{pattern}: {said}");
        }
    }
    // By HTTP/2 the host stands in another place.
    let rule = shut_where("$server_protocol $http_host", "(?!HTTP/2.0 API).*");
    let nginx = Nginx::start(&home, &[MODERN, &rule]);
    let said = check_as_device(&home, nginx.port()).exits(3);
    let told = "who shows no certificate is let in (HTTP 200) with the host in capitals by h2";
    assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
    // What another host answers there is not what a device gets; and that it sends on to the right one gives
    // nothing away.
    let elsewhere = |answer: &str| format!("if ($http_host !~ \"^{HOST}:PORT$\") {{ return {answer}; }}");
    for (answer, found) in [
        ("200 welcome", &["unclear"][..]),
        ("301 https://$host/", &[]),
        ("404", &[]),
    ] {
        let lines = [MODERN, &elsewhere(answer), &shut_where("", "")];
        let nginx = Nginx::start(&home, &lines);
        let said = check_as_device(&home, nginx.port());
        assert_eq!(codes(&said), found, "{answer}: {said}");
    }
}

#[test]
fn a_rule_that_a_query_or_a_field_lifts_keeps_nobody_out() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    for (variable, told) in [
        ("$args", "with a query behind the path"),
        (
            "$http_x_client_device",
            "with the field X-Client-Device of its own",
        ),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, &shut_where(variable, "")]);
        for said in [
            check_as_device(&home, nginx.port()),
            check(&home, nginx.port(), &["--no-canary"]),
        ] {
            let told = format!("who shows no certificate is let in (HTTP 200) {told}");
            assert_eq!(messages(&said, "certificate-not-demanded"), [told], "{said}");
        }
    }
}

/// Browsers ask so without a certificate, and an application that answers them has been reached.
#[test]
fn a_preflight_that_passes_to_the_application_is_told_in_words_of_its_own() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    for (who, pattern, found) in [
        ("$request_method", "OPTIONS", &["options-answered"][..]),
        (
            "$request_method $http_access_control_request_method",
            "OPTIONS GET",
            &["options-answered"],
        ),
        // The server itself answers, and hands on what a device asks.
        ("$request_method $ssl_client_verify", "OPTIONS NONE", &[]),
    ] {
        let answered = format!("set $who \"{who}\"; if ($who = \"{pattern}\") {{ return 204; }}");
        let nginx = Nginx::start(&home, &[MODERN, &answered, &shut_where("", "")]);
        let said = check_as_device(&home, nginx.port()).exits(if found.is_empty() { 0 } else { 3 });
        assert_eq!(codes(&said), found, "{who}: {said}");
        let told = "OPTIONS of who shows no certificate is answered as a device's (let in (HTTP 204))";
        let messages = messages(&said, "options-answered");
        assert!(messages.iter().all(|message| message.starts_with(told)), "{said}");
    }
}

#[test]
fn nothing_is_found_where_every_request_is_refused() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    for (before, variable, pattern) in [
        ("", "", ""),
        // What the server says of a method before it asks who it is says nothing of the application.
        ("if ($request_method !~ ^(GET|HEAD)$) { return 405; }", "", ""),
        // A path that is for everybody says nothing of the one that is asked.
        ("", "$uri", "/"),
    ] {
        let nginx = Nginx::start(&home, &[MODERN, before, &shut_where(variable, pattern)]);
        for said in [
            check_as_device(&home, nginx.port()),
            check(&home, nginx.port(), &["--no-canary"]),
        ] {
            let said = said.exits(0);
            assert_eq!(codes(&said), [""; 0], "{before} {variable}: {said}");
            let told = "other methods, a query, a forged name, the host in other letters: refused";
            assert_eq!(answers(&said, "other_requests"), [told], "{said}");
        }
    }
}

/// Who is revoked is held off by a list, and that by a rule of its own.
#[test]
fn a_revoked_phone_asks_again_by_another_method() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    let demands = MODERN.replace("optional", "optional_no_ca");
    let rule = "set $shut \"$revoked $request_method\"; if ($shut = \"1 GET\") { return 403; }";
    let nginx = Nginx::start(
        &home,
        &[
            &demands,
            rule,
            "if ($ssl_client_verify != SUCCESS) { return 403; }",
        ],
    );
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(3);
    let told = "who shows a revoked certificate is let in (HTTP 200) by HEAD and by OPTIONS and by a method that there is not and by \
                POST for a path that there is not, though refused by the usual way";
    assert_eq!(messages(&said, "revoked-accepted"), [told], "{said}");
    assert!(said.stdout.contains("whatever is asked"), "{said}");
    drop(nginx);

    // Where who has no certificate gets as far, others say nothing.
    let rule = "set $shut \"$ssl_client_verify $revoked $request_method\"; if ($shut ~ \"^(?!SUCCESS 0 ).*GET$\") { return 403; }";
    let nginx = Nginx::start(&home, &[&demands, rule]);
    let _follower = nginx.follow(&home);
    let said = check(&home, nginx.port(), &[]).exits(3);
    let found = messages(&said, "certificate-not-demanded");
    assert!(found.len() == 1 && found[0].contains("by HEAD"), "{said}");
    assert_eq!(messages(&said, "revoked-accepted"), [""; 0], "{said}");
    assert_eq!(messages(&said, "impostor-accepted"), [""; 0], "{said}");
}

/// Who is let in without a certificate by a handshake that resumes nothing: that sessions are resumed is
/// another hole.
fn not_demanded_in_full(said: &Finished) -> Vec<String> {
    let mut messages = messages(said, "certificate-not-demanded");
    messages.retain(|message| !message.contains("by a session"));
    messages
}

/// HAProxy goes by the name in the handshake, for one method.
#[test]
fn another_method_opens_the_right_host_by_the_handshake_of_another() {
    if !need(&["haproxy", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    let by_name = format!(
        "http-request deny if {{ method GET }} !{{ ssl_fc_sni -i {HOST} }}\n \
         http-request return status 200 content-type text/plain string hello"
    );
    let server = beside_by_haproxy(&home, "verify none", &by_name);
    let said = check_as_device(&home, server.port).exits(3);
    let ways = ["without SNI", "with another host's SNI"];
    let manners =
        "by HEAD and by OPTIONS and by a method that there is not and by POST for a path that there is not";
    let told = ways.map(|way| format!("who shows no certificate is let in (HTTP 200) {manners} {way}"));
    assert_eq!(not_demanded_in_full(&said), told, "{said}");
    // What another host's certificate says may be another host's answer.
    let said = check(&home, server.port, &["--no-canary"]);
    assert_eq!(not_demanded_in_full(&said), [""; 0], "{said}");
}

/// Refuses GET and HEAD of whose certificate is not good, and closes each connection after its answer without
/// a word.
const ABRUPT: &str = r#"
const fs = require("fs"), https = require("https");
const [home, started] = process.argv.slice(2);
const read = (name) => fs.readFileSync(home + "/public/" + name);
const server = https.createServer({
  cert: fs.readFileSync("server.crt"), key: fs.readFileSync("server.key"),
  ca: [read("ca/root.crt"), read("ca/issuing.crt")], crl: [read("crl/root.pem"), read("crl/issuing.pem")],
  requestCert: true, rejectUnauthorized: false,
}, ({ socket, method }, response) => {
  response.statusCode = socket.authorized || !["GET", "HEAD"].includes(method) ? 200 : 403;
  response.end("hello\n", () => socket.end());
});
server.listen(0, "127.0.0.1", () => {
  fs.writeFileSync(started + ".new", String(server.address().port));
  fs.renameSync(started + ".new", started);
});
"#;

#[test]
fn a_connection_that_is_closed_between_two_requests_is_no_refusal() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    ServerCertificate::make(&home);
    std::fs::write(home.path("abrupt.cjs"), ABRUPT).unwrap();
    let started = home.path("abrupt.port");
    let mut command = program("node");
    command.arg("abrupt.cjs").arg(home.home()).arg(&started);
    command.current_dir(home.path("")).stdin(Stdio::null());
    let server = Server::telling_port(&mut command, &started).unwrap();
    let said = check_as_device(&home, server.port).exits(3);
    let told =
        "who shows no certificate is let in (HTTP 200) by OPTIONS and by POST for a path that there is not";
    assert_eq!(not_demanded_in_full(&said), [told], "{said}");
}
