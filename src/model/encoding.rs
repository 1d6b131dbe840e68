//! The text forms of octets in what is written as JSON.

/// Octets as base64 text (RFC 4648 §4).
pub(crate) mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::super::text::of_base64;

    pub fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(octets))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        of_base64(&text).ok_or_else(|| D::Error::custom("not base64"))
    }
}

/// 32 octets as lower-case hexadecimal text.
pub(crate) mod hex32 {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(octets: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(octets))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        octets.try_into().map_err(|_| D::Error::custom("not 32 octets"))
    }
}
