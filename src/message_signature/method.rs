//! The method of a request (RFC 9110 §9.1).

use std::str::FromStr;

use crate::model::text::quoted;

/// The method of a request: a token, whose case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(String);

/// The error for a text that is no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no method of HTTP, such as GET or POST")]
pub struct InvalidMethod(String);

impl Method {
    /// GET.
    pub fn get() -> Self {
        Self("GET".into())
    }

    /// POST.
    pub fn post() -> Self {
        Self("POST".into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = InvalidMethod;

    /// Reads a method. One that is not all capitals is hardly meant: clients send it as it is, and servers
    /// know none.
    fn from_str(text: &str) -> Result<Self, InvalidMethod> {
        let is_one =
            (1..=32).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_uppercase() || c == b'-');
        match is_one {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidMethod(quoted(text))),
        }
    }
}
