//! The URL that a request is sent to, as server and client both see it.

use std::net::Ipv6Addr;
use std::str::FromStr;

use ureq::http::Uri;

use crate::model::text::{number, quoted_url};

/// The URL that a request is sent to, in the form in which it is signed: scheme and host in small letters,
/// no port that goes without saying, a path, no fragment (RFC 9421 §2.2.2 and §2.2.3). Path and query are
/// signed octet for octet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    authority: String,
    uri: String,
}

/// The error for a text that is no URL to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is no URL that can be signed: {why}")]
pub struct InvalidTarget {
    text: String,
    why: &'static str,
}

impl Target {
    /// Host and port: `@authority`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host alone, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => &self.authority,
        };
        host.trim_matches(['[', ']'])
    }

    /// The whole URL: `@target-uri`.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    /// Reads a URL. What clients rewrite before they send it is refused, because the server would see
    /// another URL than the one that was signed.
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = |why| InvalidTarget {
            text: quoted_url(text),
            why,
        };
        if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(invalid(
                "what is not ASCII, or a space, must be percent-encoded, and a host be in its xn-- form",
            ));
        }
        let (whole, _fragment) = text.split_once('#').unwrap_or((text, ""));
        let uri: Uri = whole
            .parse()
            .map_err(|_| invalid("it is not https://HOST/PATH"))?;
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let usual: u16 = match scheme.as_str() {
            "https" => 443,
            // For a server on the same machine.
            "http" => 80,
            _ => return Err(invalid("it does not begin with https://")),
        };
        let named = uri.authority().map_or("", |authority| authority.as_str());
        if named.contains('@') {
            return Err(invalid("a password in it would be sent by another way"));
        }
        let (host, port) = match named.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, number(port).ok_or_else(|| invalid("its port is none"))?),
            None => (named, usual),
        };
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address
                .parse::<Ipv6Addr>()
                .ok()
                .map(|address| format!("[{address}]")),
            None => is_name(host).then(|| host.to_ascii_lowercase()),
        };
        let host = host.ok_or_else(|| invalid("its host is none"))?;
        let authority = match port == usual {
            true => host,
            false => format!("{host}:{port}"),
        };
        let path = match uri.path() {
            "" => "/",
            path => path,
        };
        if path.split('/').any(is_dots) {
            return Err(invalid("clients take . and .. out of a path before they send it"));
        }
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = format!("{scheme}://{authority}{path}{query}");
        Ok(Self { authority, uri })
    }
}

/// Whether this is a name, or an address in the form of IPv4.
fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet))
}

/// Whether a segment of a path is `.` or `..`, also where its dots are percent-encoded.
fn is_dots(segment: &str) -> bool {
    matches!(
        segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
        "." | ".."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_signed_as_it_is_sent() {
        for (text, authority, uri) in [
            ("https://h", "h", "https://h/"),
            ("HTTPS://H.Example:443/A?b", "h.example", "https://h.example/A?b"),
            ("https://h?q", "h", "https://h/?q"),
            (
                "https://h:8443/a%2Fb//c?x=%20#part",
                "h:8443",
                "https://h:8443/a%2Fb//c?x=%20",
            ),
            ("http://localhost:80/", "localhost", "http://localhost/"),
            ("https://[::1]:444/...", "[::1]:444", "https://[::1]:444/..."),
            ("https://h/a?next=/../b@c", "h", "https://h/a?next=/../b@c"),
            ("https://h?next=a@b", "h", "https://h/?next=a@b"),
        ] {
            let read: Target = text.parse().unwrap();
            assert_eq!((read.authority(), read.uri()), (authority, uri), "{text}");
        }
        for (text, why) in [
            ("", "it is not https://HOST/PATH"),
            ("/path", "it does not begin with https://"),
            ("api.acme.example", "it does not begin with https://"),
            ("ftp://h/", "it does not begin with https://"),
            ("https://h/a/../b", "clients take . and .. out"),
            ("https://h/%2E/b", "clients take . and .. out"),
            ("https://h/ä", "must be percent-encoded"),
            ("https://h/a b", "must be percent-encoded"),
            ("https://bücher.example/", "must be percent-encoded"),
            ("https://alice:s3cret@h/", "a password in it"),
            ("https://alice@h/", "a password in it"),
            ("https://alice:wo/s3cret@h/", "its port is none"),
            ("http://é:s3cret@h/", "must be percent-encoded"),
            ("@", "it is not https://HOST/PATH"),
            ("https://a@", "it is not https://HOST/PATH"),
            ("https://h:99999/", "its port is none"),
            ("https://h:/", "its port is none"),
            ("https://[h]/", "its host is none"),
            ("https://a_*b/", "its host is none"),
        ] {
            let refused = text.parse::<Target>().unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
