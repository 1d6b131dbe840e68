//! A device's public key as plain data: what servers need to verify what the device has signed.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::text::of_base64;

/// What stands before the point in the SubjectPublicKeyInfo of each P-256 key (RFC 5480 §2): the algorithm
/// id-ecPublicKey, the curve secp256r1, and the octet of an uncompressed point.
const BEFORE_THE_POINT: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A P-256 public key, by the coordinates of its point, which is not checked to lie on the curve: x and y,
/// 32 octets each. Its text form is the base64 of its SubjectPublicKeyInfo in DER, 124 characters.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceKey(pub [u8; 64]);

impl DeviceKey {
    /// Reads a SubjectPublicKeyInfo in DER; `None` for any other algorithm, curve or form of the point.
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        der.strip_prefix(&BEFORE_THE_POINT)?.try_into().ok().map(Self)
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> [u8; 91] {
        let mut spki = [0; 91];
        let (head, point) = spki.split_at_mut(BEFORE_THE_POINT.len());
        head.copy_from_slice(&BEFORE_THE_POINT);
        point.copy_from_slice(&self.0);
        spki
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.spki()))
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({self})")
    }
}

impl From<DeviceKey> for String {
    fn from(key: DeviceKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for DeviceKey {
    type Error = InvalidDeviceKey;

    fn try_from(text: String) -> Result<Self, InvalidDeviceKey> {
        let der = of_base64(&text).ok_or(InvalidDeviceKey)?;
        Self::from_spki(&der).ok_or(InvalidDeviceKey)
    }
}

/// A text that is no device's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device's key is the base64 of the SubjectPublicKeyInfo of a P-256 key")]
pub struct InvalidDeviceKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_spki_and_no_other_form_of_it() {
        let key = DeviceKey(std::array::from_fn(|at| at as u8));
        assert_eq!(DeviceKey::from_spki(&key.spki()), Some(key));
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text.len(), 126);
        assert_eq!(serde_json::from_str::<DeviceKey>(&text).unwrap(), key);
        for wrong in [
            &key.spki()[1..],
            &key.spki()[..90],
            &[&key.spki()[..], &[0]].concat(),
        ] {
            assert_eq!(DeviceKey::from_spki(wrong), None);
        }
        let mut compressed = key.spki();
        compressed[26] = 2;
        assert_eq!(DeviceKey::from_spki(&compressed), None);
        assert!(serde_json::from_str::<DeviceKey>(&text.replace("MFkw", "MFk=")).is_err());
    }
}
