//! A key that a device has in common with a server, as `pki hmac show HOST ADDRESS` writes it.

use data_encoding::BASE64;
use ring::hmac;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

/// A shared key, and by what name the server knows it.
pub struct SharedKey {
    host: String,
    keyid: String,
    key: hmac::Key,
}

/// The error for a text that is no shared key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no key as `pki hmac show HOST ADDRESS --out FILE` writes it: {0}")]
pub struct InvalidSharedKey(&'static str);

#[derive(Deserialize)]
struct File {
    version: u32,
    host: String,
    keyid: String,
    key: Zeroizing<String>,
}

/// What is the server's alone. It is recognised, so that whoever has mistaken the one for the other learns
/// it.
#[derive(Deserialize)]
struct OfServer {
    #[serde(rename = "epochs")]
    _epochs: Vec<IgnoredAny>,
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedKey({})", self.keyid)
    }
}

impl SharedKey {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn read(octets: &[u8]) -> Result<Self, InvalidSharedKey> {
        let file: File = serde_json::from_slice(octets).map_err(|_| {
            InvalidSharedKey(match serde_json::from_slice::<OfServer>(octets) {
                Ok(OfServer { .. }) => "it is the server's, which the keys of all devices follow from",
                Err(_) => "it is not that JSON",
            })
        })?;
        if file.version != 1 {
            return Err(InvalidSharedKey("it is of another version"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if file.keyid.is_empty() || !file.keyid.chars().all(is_name) {
            return Err(InvalidSharedKey("its keyid is no name of a device"));
        }
        let key = BASE64.decode(file.key.as_bytes()).map(Zeroizing::new).ok();
        let key = key
            .filter(|key| key.len() == 32)
            .ok_or(InvalidSharedKey("its key is not 32 octets in base64"))?;
        Ok(Self {
            host: file.host,
            keyid: file.keyid,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// The host that it is for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// By what name the server knows it.
    pub(super) fn keyid(&self) -> &str {
        &self.keyid
    }

    /// HMAC with SHA-256.
    pub(super) fn hash(&self, message: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.key, message);
        tag.as_ref().try_into().expect("SHA-256 gives 32 octets")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn a_key_is_read_from_what_was_written_and_from_nothing_else() {
        let text = |version: u32, keyid: &str, key: &str| {
            format!(r#"{{"version":{version},"host":"h","keyid":"{keyid}","key":"{key}"}}"#)
        };
        let key = BASE64.encode(&[7; 32]);
        let read = SharedKey::read(text(1, "alice/phone/1", &key).as_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), "SharedKey(alice/phone/1)");
        // As openssl dgst -sha256 -mac HMAC has it.
        let known = "9dac6a74401b46ed9b489d0e19d68d1b13cc6b5090352fdcfa5bd74df4e69d87";
        assert_eq!(HEXLOWER.encode(&read.hash(b"")), known);
        for wrong in [
            text(2, "alice/phone/1", &key),
            text(1, "a b", &key),
            text(1, "a", "AAAA"),
            "{}".into(),
        ] {
            assert!(SharedKey::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let servers = r#"{"version":1,"host":"h","epochs":[{"number":1,"until":null,"secret":"AAAA"}]}"#;
        let said = SharedKey::read(servers.as_bytes()).unwrap_err().to_string();
        assert!(said.contains("it is the server's"), "{said}");
    }
}
