//! What comes of damaged state and lists of a fetched publication: a refusal, or what they say.

use std::collections::BTreeMap;

use ureq::http::{HeaderMap, HeaderValue, header};

use super::https::{Base, validator};
use super::source::SourceName;
use super::state::State;
use super::{continuity, listing};
use crate::fuzz::{self, seeds};
use crate::model::{Serial, Span};
use crate::publish::{Area, Listed, Manifest, revoked_serial};

#[test]
fn what_was_seen() {
    let sha256 = "0".repeat(64);
    let text = format!(
        r#"{{"version":1,"area":"public","root":"{sha256}","manifest":{{"number":7,"sha256":"{sha256}"}},
        "crls":{{"root":{{"number":1,"sha256":"{sha256}","this_update":"2027-01-15T08:00:00Z",
        "next_update":"2028-01-15T08:00:00Z"}}}},"gone":{{"servers":{{"number":1,"sha256":"{sha256}"}}}},
        "valid_until":"2027-02-15T08:00:00Z","valid_since":"2027-01-15T08:00:00Z","directory":"v-0",
        "files":{{"a":{{"size":1,"inode":2,"modified":[3,4]}}}},"source":"https://pki.acme.example/",
        "validator":{{"etag":"\"x\""}},"exec_pending":true,
        "lost":{{"{}":"2027-02-15T08:00:00Z"}}}}"#,
        Serial::from_random([7; 16])
    );
    fuzz::damaged(&[text], |text| {
        let Ok(state) = serde_json::from_slice::<State>(text) else {
            return false;
        };
        let again = serde_json::to_vec_pretty(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&again).unwrap(), state);
        let _ = state.crl("root");
        true
    });
}

#[test]
fn listings() {
    let listed = Listed {
        sha256: "0".repeat(64),
        size: 7,
    };
    let [public, server] =
        [(Area::Public, None), (Area::Server, Some(BTreeMap::new()))].map(|(area, recent)| {
            let manifest = Manifest {
                version: 1,
                area,
                number: 1,
                made: seeds::now(),
                valid_until: seeds::now() + Span::days(30),
                ended: None,
                files: BTreeMap::new(),
                recent,
                optional: Some([("history.jsonl".to_owned(), listed.clone())].into()),
            };
            serde_json::to_vec(&with_what_must_be_there(manifest, &listed)).unwrap()
        });
    fuzz::damaged(&[public, server], |text| {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(text) else {
            return false;
        };
        let listed = listing::listed(&manifest).map_err(|why| why.to_string());
        if let Ok(listed) = &listed {
            let optional = manifest.optional.iter().flat_map(BTreeMap::keys);
            let left_out = optional.filter(|path| !listed.contains(&path.as_str())).count();
            assert_eq!(listed.len(), manifest.paths().count() - left_out);
        }
        listed.is_ok()
    });
}

fn with_what_must_be_there(mut manifest: Manifest, listed: &Listed) -> Manifest {
    while let Err(super::Unfit::NotListed(path)) = listing::listed(&manifest) {
        let part = match &mut manifest.recent {
            Some(recent) if path.contains("-recent.") => recent,
            Some(_) | None => &mut manifest.files,
        };
        part.insert(path.into(), listed.clone());
    }
    manifest
}

#[test]
fn lists_of_devices() {
    let serial = Serial::from_random([7; 16]);
    let list =
        format!(r#"{{"version":1,"devices":[{{"serial":"{serial}","not_after":"2027-01-15T08:00:00Z"}}]}}"#);
    fuzz::damaged(&[list], |list| !continuity::accepted_until(list).is_empty());
    let list = format!("{serial} 1;\n{} 1;\n", Serial::from_random([8; 16]));
    fuzz::damaged(&[list], |list| {
        let serials = continuity::serials(list, revoked_serial);
        assert!(serials.len() <= list.len() / 32);
        !serials.is_empty()
    });
}

#[test]
fn sources() {
    let sources = [
        "https://pki.acme.example:8443/a/b",
        "HTTPS://pki.acme.example",
        "/srv/pki",
        "./x",
    ];
    fuzz::damaged_texts(&sources, |text| match text.parse::<SourceName>() {
        Ok(source) => {
            let told = source.to_string();
            let authority = told
                .strip_prefix("https://")
                .and_then(|rest| rest.split('/').next());
            assert!(
                authority.is_none_or(|authority| !authority.contains('@')),
                "{told}"
            );
            true
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
}

#[test]
fn redirects() {
    let base = Base("https://pki.acme.example:8443/pub/".parse().unwrap());
    let from = "https://pki.acme.example:8443/pub/manifest.jws".parse().unwrap();
    let leads = |location: &[u8]| {
        let Ok(location) = HeaderValue::from_bytes(location) else {
            return false;
        };
        let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
        base.redirected(&from, &headers).is_ok_and(|to| {
            let authority = to.authority().unwrap().as_str();
            assert_eq!(authority, "pki.acme.example:8443", "{to}");
            assert_eq!(to.scheme_str(), Some("https"), "{to}");
            true
        })
    };
    let good = [
        "/elsewhere/manifest.jws?x=1",
        "manifest.jws",
        "https://PKI.acme.example:8443/x",
    ];
    fuzz::damaged(&good, leads);
    for astray in [
        "//evil.example/x",
        "http://pki.acme.example:8443/x",
        "https://pki.acme.example/x",
        "https://pki.acme.example:8443@evil.example/",
        "https://pki.acme.example:+8443/x",
        "https://pki.acme.example:08443/x",
        "https://alice@pki.acme.example:8443/x",
    ] {
        assert!(!leads(astray.as_bytes()), "{astray}");
    }
    // A server at the usual port is itself with and without it, and no other.
    for (base, to, is_same) in [
        (
            "https://pki.acme.example/",
            "https://pki.acme.example:443/x",
            true,
        ),
        (
            "https://pki.acme.example:443/",
            "https://pki.acme.example/x",
            true,
        ),
        (
            "https://pki.acme.example/",
            "https://pki.acme.example:99999/x",
            false,
        ),
        ("https://pki.acme.example/", "https://pki.acme.example:/x", false),
        ("https://[2001:db8::443]/", "https://[2001:db8::443]:443/x", true),
        ("https://[2001:db8::443]/", "https://[2001:db8::]/x", false),
    ] {
        let location = HeaderValue::from_str(to).unwrap();
        let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
        let base = Base(base.parse().unwrap());
        assert_eq!(base.redirected(&base.0, &headers).is_ok(), is_same, "{to}");
    }
}

#[test]
fn validators() {
    let seen = [
        "\"6925b7e0-cb4\"",
        "Sun, 22 Nov 2026 13:00:10 GMT",
        "Sun Nov 22 13:00:10 2026",
    ];
    fuzz::damaged(&seen, |value| {
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return false;
        };
        let date = HeaderValue::from_static("Sun, 22 Nov 2026 14:00:00 GMT");
        let with = |name| HeaderMap::from_iter([(name, value.clone()), (header::DATE, date.clone())]);
        let by_time = validator(&with(header::LAST_MODIFIED));
        let kept = validator(&with(header::ETAG)).and_then(|kept| kept.etag);
        let texts = [kept, by_time.and_then(|kept| kept.last_modified)];
        for text in texts.iter().flatten() {
            assert!(
                text.len() <= 256 && text.as_bytes() == value.as_bytes(),
                "{text:?}"
            );
        }
        texts.iter().any(Option::is_some)
    });
}
