//! The `.mobileconfig` as Python's `plistlib` reads it, which shares nothing with the code that wrote it.

use serde_json::Value;

use crate::support::{Bundle, Home, need};

/// The profile as JSON, data in base64, after the checks that hold for every profile.
const READ: &str = r#"
import base64, json, plistlib, sys, uuid
profile = plistlib.load(open(sys.argv[1], "rb"))
payloads = profile["PayloadContent"]
for payload in [profile, *payloads]:
    assert payload["PayloadVersion"] == 1, payload
    for key in ["PayloadType", "PayloadIdentifier", "PayloadDisplayName"]:
        assert isinstance(payload[key], str) and payload[key], (key, payload)
    assert uuid.UUID(payload["PayloadUUID"]).version == 4, payload
    assert "Password" not in payload, "a profile hides nothing"
uuids = {payload["PayloadUUID"] for payload in [profile, *payloads]}
identifiers = {payload["PayloadIdentifier"] for payload in [profile, *payloads]}
assert len(uuids) == len(identifiers) == len(payloads) + 1, "one of them is there twice"
print(json.dumps({
    "type": profile["PayloadType"], "identifier": profile["PayloadIdentifier"], "uuid": profile["PayloadUUID"],
    "content": {p["PayloadType"]: base64.b64encode(p["PayloadContent"]).decode() for p in payloads},
}))
"#;

#[test]
fn a_profile_for_ios_carries_the_bundle_and_the_issuing_authority_and_not_the_root() {
    if !need(&["python3"]) {
        return;
    }
    let home = Home::new();
    let bundle = home.issue("alice", &["--for", "ios", "--name", "Alice & <Doe>"]);
    let profile = profile(&home, &bundle);
    assert_eq!(profile["type"], "Configuration");
    let expected = serde_json::json!({
        "com.apple.security.pkcs12": base64(&std::fs::read(&bundle.p12).unwrap()),
        "com.apple.security.pkcs1": base64(&std::fs::read(home.public("ca/issuing.der")).unwrap()),
    });
    assert_eq!(profile["content"], expected);
}

#[test]
fn with_root_a_profile_for_macos_carries_the_root_too() {
    if !need(&["python3"]) {
        return;
    }
    let home = Home::new();
    let bundle = home.issue("alice/laptop", &["--for", "macos", "--with-root"]);
    let profile = profile(&home, &bundle);
    let root = base64(&std::fs::read(home.public("ca/root.der")).unwrap());
    assert_eq!(profile["content"]["com.apple.security.root"], root);
}

#[test]
fn over_a_renewal_a_profile_keeps_its_identifier_and_gets_a_new_uuid() {
    if !need(&["python3"]) {
        return;
    }
    let home = Home::new();
    let first = profile(&home, &home.issue("alice", &["--for", "ios"]));
    let second = profile(&home, &home.renew("alice", &[]));
    assert_eq!(first["identifier"], second["identifier"]);
    assert_ne!(first["uuid"], second["uuid"]);
}

#[test]
fn other_systems_get_no_profile() {
    let home = Home::new();
    let bundle = home.issue("alice", &["--for", "android"]);
    assert_eq!(bundle.files, [home.path("alice-phone.p12")]);
}

fn profile(home: &Home, bundle: &Bundle) -> Value {
    let file = bundle
        .files
        .iter()
        .find(|file| file.extension().is_some_and(|e| e == "mobileconfig"));
    let file = file.unwrap_or_else(|| panic!("no profile in {:?}", bundle.files));
    home.foreign("python3", &["-X", "utf8", "-c", READ, file.to_str().unwrap()])
        .ok()
        .json()
}

fn base64(octets: &[u8]) -> String {
    data_encoding::BASE64.encode(octets)
}
