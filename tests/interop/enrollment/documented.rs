//! `docs/openapi.yaml` and the service that it describes, held to each other by schemathesis, which makes up
//! requests of the document and finds an answer that is not in it.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Serving, with_status};
use crate::support::{Finished, need};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance";

/// Asks the face at this URL what the document says of the tag, and takes down all answers in `TAG.har`.
fn ask(serving: &Serving, document: &str, tag: &str, url: &str) -> Finished {
    let har = format!("{tag}.har");
    serving.home.foreign(
        "schemathesis",
        &[
            "run",
            document,
            "--url",
            url,
            "--tls-verify",
            "false",
            "--include-tag",
            tag,
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
            // Few enough that nobody takes the wrong secrets among them for an attack.
            "--max-examples",
            "5",
            "--seed",
            "1",
            "--generation-database",
            "none",
            "--report-har-path",
            &har,
            "--no-color",
        ],
    )
}

/// Which statuses came to which operation: its method, and how many parts its path has.
fn answers(serving: &Serving, tag: &str) -> BTreeSet<(String, usize, u64)> {
    let text = std::fs::read_to_string(serving.home.path(format!("{tag}.har"))).unwrap();
    let har: Value = serde_json::from_str(&text).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| {
            let url = entry["request"]["url"].as_str().unwrap();
            let path = url.split(['?', '#']).next().unwrap();
            (
                entry["request"]["method"].as_str().unwrap().to_owned(),
                path.matches('/').count() - 2,
                entry["response"]["status"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// The document with an invite that was redeemed in the place of its examples.
fn live_document(serving: &Serving) -> String {
    let invite = serving.invite(&["alice"]);
    let (id, secret) = (invite.word("id"), invite.word("secret"));
    let csr = serving.request("alice");
    let (status, chain) = serving.redeem(id, &json!({ "secret": secret, "csr": csr }));
    assert_eq!(status, 200, "{chain}");
    let home = &serving.home;
    std::fs::write(home.path("alice.pem"), chain).unwrap();
    let word = home.write_private("word", "orbit-velvet-canyon\n");
    let word = format!("file:{}", word.display());
    let export = ["pkcs12", "-export", "-inkey", "alice.key", "-in", "alice.pem"];
    let into = ["-passout", &word, "-out", "alice.p12"];
    home.foreign("openssl", &[&export[..], &into].concat()).ok();
    let sign = [
        "dgst",
        "-sha256",
        "-sign",
        "alice.key",
        "-out",
        "signature",
        "alice.p12",
    ];
    home.foreign("openssl", &sign).ok();
    let signature = std::fs::read(home.path("signature")).unwrap();
    let signature = p256::ecdsa::Signature::from_der(&signature).unwrap().to_bytes();
    let p12 = BASE64.encode(&std::fs::read(home.path("alice.p12")).unwrap());
    let signature = BASE64.encode(&signature);
    let file = json!({ "secret": secret, "p12": p12, "signature": signature });
    let (status, told) = serving.post(&format!("{id}/profile"), &file.to_string(), "");
    assert_eq!(status, 200, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let slot = told["address"].as_str().unwrap().rsplit('/').next().unwrap();
    let bare: String = csr.lines().filter(|line| !line.starts_with('-')).collect();

    let mut document = document();
    for (example, live) in [
        ("2WCX1Z1Q", id),
        ("SECRET-OF-THE-INVITE-00000", secret),
        ("REQUEST-FOR-A-CERTIFICATE", &bare),
        ("p12: MIIB", &format!("p12: {p12}")),
        ("signature: MIIB", &format!("signature: {signature}")),
        ("Zm9yIGFuIGV4YW1wbGUuLg", slot),
    ] {
        assert!(document.contains(example), "{example}");
        document = document.replace(example, live);
    }
    document
}

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml")).unwrap()
}

#[test]
fn the_page_answers_as_its_document_says_and_refuses_in_json() {
    if !need(&["schemathesis"]) {
        return;
    }
    let Some(serving) = Serving::start() else { return };
    std::fs::write(serving.home.path("openapi.yaml"), live_document(&serving)).unwrap();
    let page = format!("https://127.0.0.1:{}", serving.server.port);
    ask(&serving, "openapi.yaml", "page", &page).ok();
    let came = answers(&serving, "page");
    for (method, parts, statuses) in [
        ("GET", 1, &[200][..]),
        ("GET", 2, &[200]),
        ("POST", 2, &[200, 400, 403, 415]),
        ("POST", 3, &[200, 400, 403, 415]),
        ("GET", 4, &[200, 404]),
        ("PUT", 2, &[405]),
    ] {
        for status in statuses {
            assert!(
                came.contains(&(method.to_owned(), parts, *status)),
                "{method} {parts}: no {status} in {came:?}"
            );
        }
    }
}

#[test]
fn the_face_for_status_answers_as_its_document_says_and_what_it_does_not_say_is_found() {
    if !need(&["schemathesis"]) {
        return;
    }
    let Some((serving, port)) = with_status() else {
        return;
    };
    let status = format!("http://127.0.0.1:{port}");
    std::fs::write(serving.home.path("openapi.yaml"), document()).unwrap();
    ask(&serving, "openapi.yaml", "status", &status).ok();
    let came = answers(&serving, "status");
    for (parts, status) in [(1, 200), (2, 200), (2, 404)] {
        assert!(
            came.contains(&("GET".into(), parts, status)),
            "no {status} in {came:?}"
        );
    }
    let other = document().replace("required: [kind, message]", "required: [kind, message, colour]");
    assert_ne!(other, document());
    std::fs::write(serving.home.path("other.yaml"), other).unwrap();
    let found = ask(&serving, "other.yaml", "status", &status).exits(1);
    assert!(found.text().contains("colour"), "{found}");
}
