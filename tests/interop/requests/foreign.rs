//! Libraries of npm and PyPI that know RFC 9421 and nothing of us: what they sign is taken, and what we sign
//! they verify. And the RFC's own example.

use data_encoding::BASE64;
use pki::key::PublicKey;

use super::Api;
use super::api::{ORIGIN, data, with_devices};
use crate::support::{finish, need_site_package, program, python};

/// The body that all of them sign.
const BODY: &str = r#"{"one":1}"#;

/// What the program signs: a POST of [`BODY`] with a token.
fn signed_by_the_program(api: &Api) -> String {
    std::fs::write(api.home.path("body.json"), BODY).unwrap();
    std::fs::write(api.home.path("token.txt"), "Authorization: Bearer word\n").unwrap();
    let url = format!("{ORIGIN}/orders?open=%2F");
    let device = ["--cert", "alice.crt", "--key", "alice.key"];
    let parts = ["--data", "body.json", "--headers", "token.txt"];
    let arguments = [&["sign-request", &url][..], &device, &parts].concat();
    api.home.run(&arguments).ok().stdout
}

#[test]
fn libraries_of_npm_sign_what_is_taken_and_verify_what_we_sign() {
    let Some(home) = with_devices(&["http-message-signatures", "http-message-sig"]) else {
        return;
    };
    std::fs::copy(data("foreign.mjs"), home.path("foreign.mjs")).unwrap();
    let api = Api::start(home, "plain", &["6000"]);
    let ours = signed_by_the_program(&api);
    let mut node = program("node");
    node.args(["foreign.mjs", &api.port.to_string(), ORIGIN]);
    let said = finish(node.current_dir(api.home.path("")), ours.as_bytes())
        .ok()
        .stdout;
    let expected = "http-message-signatures: taken\nhttp-message-sig: taken\n\
                    the signer for fetch: true pki true\nthe program: true pki true\n";
    assert_eq!(said, expected);
}

#[test]
fn a_library_of_pypi_signs_what_is_taken_and_verifies_what_we_sign() {
    if !need_site_package("http_message_signatures") {
        return;
    }
    let Some(home) = with_devices(&[]) else {
        return;
    };
    let api = Api::start(home, "plain", &["6000"]);
    let ours = signed_by_the_program(&api);
    let mut script = python();
    script
        .arg(data("foreign.py"))
        .args([&api.port.to_string(), ORIGIN]);
    let said = finish(script.current_dir(api.home.path("")), ours.as_bytes())
        .ok()
        .stdout;
    let expected = "signed: 200 \nverified: 1 ['@authority', '@method', '@target-uri', 'authorization', 'content-digest']\n";
    assert_eq!(said, expected);
}

/// RFC 9421 appendix B.2.4, by the key of B.1.3: r and s beside each other, and the base with its lines.
#[test]
fn the_example_of_the_rfc_verifies() {
    let spki = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==";
    let key = PublicKey::from_spki(&BASE64.decode(spki.as_bytes()).unwrap()).unwrap();
    let base = "\"@status\": 200\n\"content-type\": application/json\n\
        \"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\
        \"content-length\": 23\n\
        \"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature =
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==";
    let signature = BASE64.decode(signature.as_bytes()).unwrap();
    assert!(key.verifies_es256(base.as_bytes(), &signature));
    assert!(!key.verifies_es256(base.replace("200", "201").as_bytes(), &signature));
}
