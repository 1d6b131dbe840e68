//! The samples for apps: the one in Kotlin enrolls and renews on a JVM, and tells nobody its secret but the
//! service. The one in Swift is Swift.

use super::judges::{SHORT_LIVED, java, nginx};
use super::{Serving, later, with_est};
use crate::support::{HOST, Home, finish, need, need_swift_grammar, program};
use crate::verifiers::PARSE;

/// What the sample is compiled and run with.
const JARS: [&str; 3] = [
    "/usr/share/java/json-android.jar",
    "/usr/share/java/okhttp.jar",
    "/usr/share/java/okio.jar",
];

#[test]
fn the_app_in_kotlin_enrolls_and_renews_by_the_pinned_service_alone() {
    if !need(&["kotlinc", "java", "keytool", "nginx", "faketime"]) || !need(&JARS) {
        return;
    }
    let Some((serving, before)) = with_est() else {
        return;
    };
    compile(&serving.home);
    trust_the_page(&serving.home);
    let first = enrolls(&serving);
    let pins = serving.home.run(&["server", "list", "--json"]).json();
    let keys = &pins["servers"][0]["keys"];
    let [active, backup] = [0, 1].map(|key| keys[key]["pin"].as_str().unwrap());

    let Some((serving, port)) = later(serving, "+65d") else {
        return;
    };
    // Its port is all that is different of the service.
    let kept = serving.home.path("enrolled.json");
    let [there, here] = [before, port].map(|port| format!("{HOST}:{port}"));
    let moved = std::fs::read_to_string(&kept).unwrap().replace(&there, &here);
    std::fs::write(&kept, moved).unwrap();
    let pins = format!("{backup}\n{active} {backup}\n{active} {backup}");
    let said = app(&serving.home, "renew", &pins);
    let [refused, renewed, again] = lines(&said);
    assert_eq!(refused, NOT_PINNED);
    let second = renewed.strip_prefix("renewed ").unwrap();
    assert!(second != first && serving.ledger().contains(second), "{said}");
    assert_eq!(renewed, again);
}

const NOT_PINNED: &str = "failed: the server has another key than the pinned one";

/// The app scans one code after the other, and in the end that of Alice: the serial number of her
/// certificate.
fn enrolls(serving: &Serving) -> String {
    // Somebody in the place of the page, who sends devices to himself.
    let impostor = nginx(&serving.home, "impostor", |port| {
        format!(
            "access_log told.log;\nlocation /i/ {{ return 200 '{{\"est\":\"https://{HOST}:{port}/.well-known/est\"}}'; }}\n"
        )
    });
    let [alice, bob, carol] = [
        &["alice", "--days", "90"][..],
        &["bob", "--code"],
        &["carol", "--approve"],
    ]
    .map(|invited| serving.invite(invited));
    let link = alice.word("link");
    let [page, place] = [serving.server.port, impostor.port].map(|port| format!("{HOST}:{port}/"));
    let misled = link.replace(&page, &place);
    assert_ne!(misled, link);
    let with_code = format!("{} {}", bob.word("link"), bob.word("code"));
    // The same link twice is the same key twice: it gets the same certificate.
    let links = [
        &misled,
        bob.word("link"),
        &with_code,
        carol.word("link"),
        link,
        link,
    ];
    let said = app(&serving.home, "enroll", &links.join("\n"));
    let [
        refused,
        _,
        no_code,
        _,
        by_code,
        _,
        waits,
        _,
        enrolled,
        early,
        again,
        _,
    ] = lines(&said);

    assert_eq!(refused, NOT_PINNED);
    let told = std::fs::read_to_string(serving.home.path("told.log")).unwrap();
    let asked = format!("\"GET /i/{} HTTP/1.1\"", alice.word("id"));
    assert!(told.lines().count() == 1 && told.contains(&asked), "{told}");

    assert!(no_code.starts_with("403 "), "{said}");
    let serial = serving.home.serial_of("bob/phone");
    assert_eq!(by_code, format!("enrolled {serial} [false, true]"));
    let shown = serving
        .home
        .run(&["invite", "show", carol.word("id"), "--json"])
        .json();
    let words = shown["words"].as_str().unwrap();
    assert!(waits.starts_with("202 ") && waits.ends_with(words), "{said}");

    let serial = serving.home.serial_of("alice/phone");
    assert_eq!(enrolled, format!("enrolled {serial} [false, true]"));
    assert_eq!(again, enrolled);
    // Which the service says to whom has shown that certificate alone.
    assert!(
        early.starts_with("403 this certificate can be renewed from "),
        "{said}"
    );
    serial
}

/// No compiler of Swift comes with Debian 12: this says that it is Swift, and not that it is right.
#[test]
fn the_app_in_swift_is_swift() {
    if !need_swift_grammar() {
        return;
    }
    let sample = std::fs::read_to_string(source("templates/enroll/Enrollment.swift")).unwrap();
    let errors = |text: &str| {
        let python = source(".venv/bin/python");
        let home = Home::unfounded();
        home.foreign_given(&python, &["-c", PARSE], text.as_bytes())
            .ok()
            .stdout
    };
    assert_eq!(errors(&sample), "");
    assert_ne!(errors(&sample.replacen("guard", "guard guard", 1)), "");
}

/// The sample and its app, in `app.jar`.
fn compile(home: &Home) {
    let mut kotlinc = program("kotlinc");
    kotlinc.env("JAVA_OPTS", SHORT_LIVED);
    kotlinc.args(
        [
            "templates/enroll/Enrollment.kt",
            "templates/enroll/AndroidKeys.kt",
            "tests/data/kotlin/AndroidKeystore.kt",
            "tests/data/kotlin/Main.kt",
            "tests/data/kotlin/OkHttp3.kt",
        ]
        .map(source),
    );
    kotlinc.args(["-cp", &JARS.join(":"), "-include-runtime", "-d", "app.jar"]);
    finish(kotlinc.current_dir(home.path("")), b"").ok();
}

/// What the phone's system trusts, in which there is the CA of the page.
fn trust_the_page(home: &Home) {
    let mut arguments = vec![
        "-importcert",
        "-noprompt",
        "-alias",
        "page",
        "-file",
        "server.crt",
    ];
    arguments.extend([
        "-keystore",
        "system.p12",
        "-storetype",
        "PKCS12",
        "-storepass",
        "public",
    ]);
    home.foreign("keytool", &arguments).ok();
}

/// What the app says to these lines. Its clock stays where it is.
fn app(home: &Home, does: &str, lines: &str) -> String {
    let path = format!("app.jar:{}", JARS.join(":"));
    let mut java = java(home);
    java.args([
        "-Djavax.net.ssl.trustStore=system.p12",
        "-Djavax.net.ssl.trustStorePassword=public",
    ]);
    java.args(["-cp", &path, "MainKt", does]);
    finish(&mut java, lines.as_bytes()).ok().stdout
}

fn lines<const COUNT: usize>(said: &str) -> [&str; COUNT] {
    let lines: Vec<&str> = said.lines().collect();
    lines.try_into().unwrap_or_else(|_| panic!("{said}"))
}

/// A file of this project.
fn source(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}
