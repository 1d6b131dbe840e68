//! An HTTP request without a body: method, host as it is written in the request, and path.

use super::url::Url;
use crate::model::Address;

/// A request without a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method of the request.
    pub method: Method,
    /// The value of the field Host, or of `:authority`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Whether it says of itself which device it comes from, as only a server may tell the application.
    pub claims: bool,
}

/// A method (RFC 9110 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET: asks for what the path names.
    Get,
    /// HEAD: asks for the same, without the body.
    Head,
    /// OPTIONS: asks which methods are permitted.
    Options,
    /// Something is to be done.
    Post,
    /// A method that does not exist: a server applies the rules to it that it has for all other methods.
    Unknown,
}

impl Method {
    /// The method as it is written in a request line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Unknown => "PKICHECK",
        }
    }
}

impl Request {
    /// GET, for what the URL names and as the URL has it.
    pub fn usual(url: &Url) -> Self {
        Self {
            method: Method::Get,
            authority: url.authority(),
            path: url.path().to_owned(),
            claims: false,
        }
    }

    /// The fields beside those of every request. OPTIONS is asked as browsers ask before they let a page make
    /// a request (Fetch §4.8, "CORS-preflight fetch"): a rule may be for that alone.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = match self.method {
            Method::Options => vec![
                ("origin", format!("https://{}", self.authority)),
                ("access-control-request-method", "GET".into()),
            ],
            Method::Post => vec![("content-length", "0".into())],
            Method::Get | Method::Head | Method::Unknown => Vec::new(),
        };
        if self.claims {
            fields.push(("x-client-device", Address::canary().to_string()));
        }
        fields
    }
}
