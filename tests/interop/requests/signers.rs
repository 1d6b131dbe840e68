//! What signs for a device: the program with curl, and the samples in JavaScript, Kotlin and Swift.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::Api;
use super::api::{ORIGIN, with_devices};
use crate::enrollment::browser::Browser;
use crate::enrollment::judges::SHORT_LIVED;
use crate::support::{Finished, Home, finish, free_port, need, need_swift_grammar, program, wait_until};
use crate::verifiers::PARSE;

/// Starts the application under the name that clients on this machine have for it.
fn local(home: Home, framework: &str) -> (Api, String) {
    let port = free_port();
    let origin = format!("http://localhost:{port}");
    (Api::at(home, framework, port, &origin, &["6000"]), origin)
}

fn answer(body: &str) -> String {
    format!(r#"{{"device":"alice/phone","header":"alice/phone","body":"{body}"}}"#)
}

/// Sends what `pki sign-request` has signed for this path, by curl: its answer.
fn curl(api: &Api, path: &str, sign: &[&str], send: &[&str]) -> String {
    curl_as("alice.crt", api, path, sign, send)
}

fn curl_as(certificate: &str, api: &Api, path: &str, sign: &[&str], send: &[&str]) -> String {
    let url = format!("{ORIGIN}{path}");
    let device = ["--cert", certificate, "--key", "alice.key"];
    let signed = api
        .home
        .run(&[&["sign-request", &url][..], &device, sign].concat())
        .ok()
        .stdout;
    let there = format!("http://localhost:{}{path}", api.port);
    let arguments = [&["-sS", "-H", "@-", &there][..], send].concat();
    api.home
        .foreign_given("curl", &arguments, signed.as_bytes())
        .ok()
        .stdout
}

#[test]
fn what_the_program_signs_is_taken_from_curl() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["curl"])) else {
        return;
    };
    let api = Api::start(home, "plain", &["6000"]);
    std::fs::write(api.home.path("order"), "one order").unwrap();
    std::fs::write(
        api.home.path("headers"),
        "X-Other: 1\nauthorization:  Bearer word \n",
    )
    .unwrap();
    assert_eq!(curl(&api, "/orders?open=%2F", &[], &[]), answer(""));
    let data = ["--data", "order"];
    assert_eq!(
        curl(&api, "/orders", &data, &["--data-binary", "@order"]),
        answer("one order")
    );
    let put = curl(
        &api,
        "/orders",
        &["-X", "PUT", "--data", "order"],
        &["-X", "PUT", "--data-binary", "@order"],
    );
    assert_eq!(put, answer("one order"));
    assert_eq!(
        curl(&api, "/orders", &["-X", "DELETE"], &["-X", "DELETE"]),
        answer("")
    );
    let headers = ["--headers", "headers"];
    assert_eq!(curl(&api, "/orders", &headers, &["-H", "@headers"]), answer(""));
    let refused = curl(&api, "/orders", &headers, &[]);
    assert!(refused.contains(r#""code":"components""#), "{refused}");
    // A renewed device signs by either certificate, as long as servers accept both.
    std::fs::copy(api.home.path("alice.crt"), api.home.path("old.crt")).unwrap();
    super::api::renew(&api.home, "alice");
    api.until_read();
    assert_eq!(curl(&api, "/orders", &[], &[]), answer(""));
    assert_eq!(curl_as("old.crt", &api, "/orders", &[], &[]), answer(""));
    api.home.run(&["revoke", "alice", "--yes"]).ok();
    api.until_read();
    let refused = curl(&api, "/orders", &[], &[]);
    assert!(refused.contains(r#""status":401,"code":"device""#), "{refused}");
}

#[test]
fn the_program_signs_nothing_that_no_server_would_take() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["faketime"])) else {
        return;
    };
    let sign_to = |url: &str, more: &[&str]| finish(home.pki(&["sign-request", url]).args(more), b"");
    let sign = |more: &[&str]| sign_to("https://api.acme.example/", more);
    let device = ["--cert", "alice.crt", "--key", "alice.key"];
    let refused = |said: Finished, code: i32, what: &str| {
        assert_eq!(said.code, Some(code), "{said}");
        assert!(said.stderr.contains(what) && said.stdout.is_empty(), "{said}");
    };
    refused(
        sign(&["--cert", "alice.crt", "--key", "bob.key"]),
        1,
        "bob.key is not the key of alice.crt",
    );
    refused(
        sign(&["--cert", "alice.key", "--key", "alice.key"]),
        1,
        "alice.key",
    );
    let mut later = home.pki_at("+400d", &["sign-request", "https://api.acme.example/"]);
    refused(
        finish(later.args(device), b""),
        1,
        "no server takes what it signs",
    );
    for (text, what) in [
        ("Authorization: a\nAuthorization: b\n", "has Authorization twice"),
        ("no header\n", "has a line that is no header"),
        (
            "Signature: pki=::\n",
            "has Signature, which is what this command makes",
        ),
    ] {
        std::fs::write(home.path("headers"), text).unwrap();
        refused(sign(&[&device[..], &["--headers", "headers"]].concat()), 1, what);
    }
    refused(sign(&[&device[..], &["--data", "none"]].concat()), 1, "none");
    for (url, what) in [
        ("http://h/../x", "clients take . and .. out"),
        ("https://u:word@h/", "a password in it"),
    ] {
        let said = sign_to(url, &device);
        assert!(!said.stderr.contains("word@"), "{said}");
        refused(said, 2, what);
    }
    // What is in the file is named for what it is, and what holds the key besides others is read.
    home.write_private("word", "a passphrase of a bundle");
    let bundle = [
        "pkcs12",
        "-export",
        "-in",
        "alice.crt",
        "-inkey",
        "alice.key",
        "-out",
        "alice.p12",
        "-passout",
        "file:word",
    ];
    home.foreign("openssl", &bundle).ok();
    std::fs::set_permissions(home.path("alice.p12"), std::fs::Permissions::from_mode(0o600)).unwrap();
    refused(
        sign(&["--cert", "alice.crt", "--key", "alice.p12"]),
        1,
        "is a PKCS#12 bundle, whose key must be taken out",
    );
    refused(
        sign(&["--cert", "alice.key", "--key", "alice.key"]),
        1,
        "alice.key",
    );
    let both = ["alice.crt", "alice.key"]
        .map(|name| std::fs::read_to_string(home.path(name)).unwrap())
        .concat();
    home.write_private("both.pem", &both);
    sign(&["--cert", "alice.crt", "--key", "both.pem"]).ok();
    refused(
        sign(&["--cert", "both.pem", "--key", "both.pem"]),
        1,
        "holds the key as well as the certificate",
    );
    refused(sign(&[]), 2, "there is nothing to sign with");
    std::fs::set_permissions(home.path("alice.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    refused(sign(&device), 1, "alice.key");
}

#[test]
fn the_program_signs_by_a_key_that_is_encrypted() {
    let Some(home) = with_devices(&[]) else {
        return;
    };
    home.write_private("word", "a passphrase of the laptop\n");
    let encrypt = [
        "pkcs8",
        "-topk8",
        "-in",
        "bob.key",
        "-out",
        "locked.key",
        "-passout",
        "file:word",
    ];
    home.foreign("openssl", &encrypt).ok();
    std::fs::set_permissions(home.path("locked.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let sign = [
        "sign-request",
        "https://api.acme.example/",
        "--cert",
        "bob.crt",
        "--key",
        "locked.key",
    ];
    let missing = finish(&mut home.pki(&sign), b"");
    assert_eq!(missing.code, Some(4), "{missing}");
    let said = home
        .run(&[&sign[..], &["--passphrase-file", "word", "--json"]].concat())
        .ok()
        .json();
    assert!(
        said["headers"]["Signature"]
            .as_str()
            .unwrap()
            .starts_with("pki=:"),
        "{said}"
    );
}

#[test]
fn the_signer_for_fetch_signs_what_is_taken_also_by_a_wrong_clock() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["faketime"])) else {
        return;
    };
    let (api, origin) = local(home, "plain");
    for ahead in ["+0", "+7m", "-7m"] {
        let mut client = program("faketime");
        client.args(["-f", ahead, "node", "fetches.mjs", &origin]);
        std::fs::copy(super::api::data("fetches.mjs"), api.home.path("fetches.mjs")).unwrap();
        let said = finish(client.current_dir(api.home.path("")), b"").ok().stdout;
        let expected = format!(
            "200 {}\n200 {}\n200 {}\n200 {}\n{origin}/orders#part error kept true\nhttps://other.example/ none kept false\n",
            answer(""),
            answer("{}"),
            answer("ab"),
            answer("")
        );
        assert_eq!(said, expected, "{ahead}");
    }
}

/// What the sample is compiled and run with.
const JARS: &str = "/usr/share/java/okhttp.jar:/usr/share/java/okio.jar";

#[test]
fn the_app_in_kotlin_signs_what_is_taken_and_tells_nobody_else_who_it_is() {
    if !need(&["kotlinc", "java", "faketime"]) || !need(&JARS.split(':').collect::<Vec<_>>()) {
        return;
    }
    let Some(home) = with_devices(&[]) else {
        return;
    };
    let source = |path: &str| format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let mut kotlinc = program("kotlinc");
    kotlinc.env("JAVA_OPTS", SHORT_LIVED);
    let sources = [
        "templates/requests/RequestSigner.kt",
        "tests/data/kotlin/Signs.kt",
        "tests/data/kotlin/OkHttp3.kt",
    ];
    kotlinc.args(sources.map(source));
    kotlinc.args(["-cp", JARS, "-include-runtime", "-d", "signs.jar"]);
    finish(kotlinc.current_dir(home.path("")), b"").ok();

    let (api, _) = local(home, "plain");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap().port();
    let port = api.port;
    let heard = std::thread::spawn(move || elsewhere(&other, port));
    let run = |ahead: &str| {
        let mut app = program("faketime");
        app.args(["-f", ahead, "java"]).args(SHORT_LIVED.split(' '));
        app.args([
            "-cp",
            &format!("signs.jar:{JARS}"),
            "SignsKt",
            &port.to_string(),
            &at.to_string(),
        ]);
        finish(app.current_dir(api.home.path("")), b"").ok().stdout
    };
    let bodies = ["", "{}", "", "", "once", "", ""].map(|body| format!("200 {}\n", answer(body)));
    let rest = bodies.concat() + "200 elsewhere\n";
    assert_eq!(run("+0"), format!("300 taken\n{rest}"));
    // The first one teaches it what time it is there.
    assert_eq!(run("+7m"), format!("299 taken\n{rest}"));
    let heard = heard.join().unwrap();
    assert_eq!(
        heard
            .iter()
            .filter(|head| head.to_lowercase().contains("signature"))
            .count(),
        2,
        "{heard:?}"
    );
    assert!(
        heard
            .iter()
            .all(|head| head.contains("localhost") || !head.to_lowercase().contains("signature")),
        "{heard:?}"
    );
}

/// Four requests at a place that is not the API: it sends whoever asks for `/redirect` there. What was asked.
fn elsewhere(listener: &TcpListener, api: u16) -> Vec<String> {
    let mut heard = Vec::new();
    for connection in listener.incoming().take(4) {
        let mut connection = connection.unwrap();
        let head = read_head(&mut connection);
        let answer = match head.starts_with("GET /redirect") {
            true => format!("302 Found\r\nLocation: http://localhost:{api}/orders\r\nContent-Length: 0"),
            false => "200 OK\r\nContent-Length: 9".to_owned(),
        };
        let body = if answer.starts_with("200") {
            "elsewhere"
        } else {
            ""
        };
        write!(connection, "HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n{body}").unwrap();
        heard.push(head);
    }
    heard
}

fn read_head(connection: &mut impl std::io::Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        connection.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    String::from_utf8(head).unwrap()
}

/// No compiler of Swift comes with Debian 12: this says that it is Swift, and not that it is right.
#[test]
fn the_signer_in_swift_is_swift() {
    if !need_swift_grammar() {
        return;
    }
    let home = Home::new();
    let sample = home.run(&["config", "requests-swift"]).ok().stdout;
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");
    let errors = |text: &str| {
        home.foreign_given(python, &["-c", PARSE], text.as_bytes())
            .ok()
            .stdout
    };
    assert_eq!(errors(&sample), "");
    assert_ne!(errors(&sample.replacen("guard", "guard guard", 1)), "");
}

#[test]
fn the_signer_for_fetch_signs_in_a_browser_by_a_key_that_it_cannot_take_out() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["chromium", "chromedriver"])) else {
        return;
    };
    std::fs::copy(super::api::data("browser.mjs"), home.path("browser.mjs")).unwrap();
    let port = free_port();
    let origin = format!("http://127.0.0.1:{port}");
    let _server = super::api::node(&home, &["browser.mjs", &port.to_string(), &origin]);
    let browser = Browser::start(&home, 800, &[]);
    browser.open(&format!("{origin}/"));
    let title = wait_until("the page has its answers", || {
        let title = browser.run("return document.title").as_str()?.to_owned();
        Some(title).filter(|title| title != "asks" && !title.is_empty())
    });
    assert_eq!(title, "200 alice/phone | 200 alice/phone {} | false");
}
