//! The URL of a service of EST: where its operations are (RFC 7030 §3.2.2).

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

use crate::model::text::quoted_url;

/// Below which path a server has EST (RFC 7030 §3.2.2).
const WELL_KNOWN: &str = "/.well-known/est";

/// The URL of a service of EST, `https://HOST[:PORT]/.well-known/est[/LABEL]`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstUrl(Uri);

/// The error for a text that is not the URL of a service of EST.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not https://HOST/.well-known/est: {why}")]
pub struct InvalidEstUrl {
    text: String,
    why: &'static str,
}

impl EstUrl {
    /// The URL of an operation.
    pub(super) fn operation(&self, name: &str) -> Uri {
        let below = format!("{self}/{name}").parse();
        below.expect("a URL without a query, a slash and the name of an operation make a URL")
    }
}

impl FromStr for EstUrl {
    type Err = InvalidEstUrl;

    /// Reads a URL; where it has no path, EST is where RFC 7030 has it.
    fn from_str(text: &str) -> Result<Self, InvalidEstUrl> {
        let invalid = |why| InvalidEstUrl {
            text: quoted_url(text),
            why,
        };
        let uri: Uri = text.parse().map_err(|_| invalid("it is no URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(invalid("certificates are renewed over https"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid(
                "a device is known by its certificate, and by no password",
            ));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(invalid("it has more than a path"));
        }
        let path = match uri.path().trim_end_matches('/') {
            "" => WELL_KNOWN,
            path => path,
        };
        let below = path.rsplit_once(WELL_KNOWN).map(|(_, below)| below);
        let label = match below.ok_or_else(|| invalid("its path is another"))? {
            "" => None,
            rest => Some(rest.strip_prefix('/').unwrap_or("/")),
        };
        if label.is_some_and(|label| label.contains('/')) {
            return Err(invalid("behind /.well-known/est stands one label, or none"));
        }
        if let Some("cacerts" | "csrattrs" | "simpleenroll" | "simplereenroll") = label {
            return Err(invalid("what is asked there is not named"));
        }
        let whole = format!("https://{authority}{path}").parse();
        whole.map(Self).map_err(|_| invalid("it is no URL"))
    }
}

impl fmt::Display for EstUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn est_is_where_the_rfc_has_it_with_a_label_or_none() {
        for (text, read) in [
            ("https://h", "https://h/.well-known/est"),
            ("https://h:8444/", "https://h:8444/.well-known/est"),
            ("https://h/.well-known/est/", "https://h/.well-known/est"),
            (
                "https://h/.well-known/est/laptops",
                "https://h/.well-known/est/laptops",
            ),
            ("https://h/pki/.well-known/est", "https://h/pki/.well-known/est"),
            ("https://[::1]:1", "https://[::1]:1/.well-known/est"),
        ] {
            let url: EstUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), read);
            assert_eq!(url.operation("cacerts").to_string(), format!("{read}/cacerts"));
        }
        for (text, why) in [
            ("", "it is no URL"),
            ("h", "certificates are renewed over https"),
            ("http://h", "certificates are renewed over https"),
            ("https://h/est", "its path is another"),
            (
                "https://h/.well-known/estate",
                "behind /.well-known/est stands one label, or none",
            ),
            (
                "https://h/.well-known/est/a/b",
                "behind /.well-known/est stands one label, or none",
            ),
            (
                "https://h/.well-known/est/cacerts",
                "what is asked there is not named",
            ),
            ("https://h/?a", "it has more than a path"),
            ("https://h/#a", "it has more than a path"),
            (
                "https://alice:word@h/",
                "a device is known by its certificate, and by no password",
            ),
        ] {
            let refused = text.parse::<EstUrl>().unwrap_err().to_string();
            assert!(refused.ends_with(&format!(": {why}")), "{text}: {refused}");
            assert!(!refused.contains("word@"), "{refused}");
        }
    }
}
