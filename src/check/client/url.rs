//! Parses the URL that is to be checked, which must be an https URL.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

use crate::model::text::quoted_url;

/// An https URL: a host, a port, and what is asked for there. Its text form has no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    name: ServerName<'static>,
    port: u16,
    path: String,
}

/// The reason for which a text is not a URL that can be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Another scheme, or none.
    #[error("{0} is not an https URL such as https://api.acme.example/")]
    NotHttps(String),
    /// A user's name, and mostly a password, before the host.
    #[error("{0} names a user: what is asked of the server is a certificate")]
    User(String),
    /// Not a host.
    #[error(
        "{0} has no host that a certificate could name (ASCII; an internationalized name as DNS has it, with xn--)"
    )]
    Host(String),
    /// Not a port.
    #[error("{0} has a port that is none: 1 to 65535")]
    Port(String),
    /// A character that no URL may have.
    #[error("{0} has a character that a URL writes with %")]
    Character(String),
}

impl Url {
    /// The host as TLS has it.
    pub fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// The host as text: a name in lower case, or an address without brackets.
    pub fn host(&self) -> String {
        self.name.to_str().to_ascii_lowercase()
    }

    /// The host where it is a name (RFC 6066 §3).
    pub fn dns_name(&self) -> Option<String> {
        matches!(self.name, ServerName::DnsName(_)).then(|| self.host())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The request target: path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of the field Host: with the port only where it is not 443 (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        self.authority_of(&self.bracketed_host())
    }

    /// The same with the host in another spelling.
    pub fn authority_of(&self, host: &str) -> String {
        if self.is_usual_port() {
            host.to_owned()
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Whether the port is the default one, 443.
    pub fn is_usual_port(&self) -> bool {
        self.port == 443
    }

    /// The host as it stands before a port: an IPv6 address in brackets.
    pub fn bracketed_host(&self) -> String {
        let host = self.host();
        if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path)
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let shown = || quoted_url(text);
        let scheme = text
            .get(..8)
            .filter(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let rest = scheme.map(|scheme| &text[scheme.len()..]);
        let rest = rest.ok_or_else(|| InvalidUrl::NotHttps(shown()))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if !path
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet))
        {
            return Err(InvalidUrl::Character(shown()));
        }
        if authority.contains('@') {
            // The password is not said again.
            return Err(InvalidUrl::User("the URL".into()));
        }
        let (host, port) = split_port(authority).ok_or_else(|| InvalidUrl::Host(shown()))?;
        let port = match port {
            None | Some("") => 443,
            Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| InvalidUrl::Port(shown()))?,
            Some(_) => return Err(InvalidUrl::Port(shown())),
        };
        let name = ServerName::try_from(host.to_ascii_lowercase())
            .ok()
            .filter(|_| !host.ends_with('.'))
            .ok_or_else(|| InvalidUrl::Host(shown()))?;
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self { name, port, path })
    }
}

/// A host, without the brackets of an IPv6 address, and what follows the colon behind it.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_is_a_host_a_port_and_a_path() {
        for (text, whole, authority, path) in [
            (
                "https://API.acme.example",
                "https://api.acme.example/",
                "api.acme.example",
                "/",
            ),
            (
                "HTTPS://api.acme.example:8443/v1?a=b#c",
                "https://api.acme.example:8443/v1?a=b",
                "api.acme.example:8443",
                "/v1?a=b",
            ),
            (
                "https://api.acme.example:443?q",
                "https://api.acme.example/?q",
                "api.acme.example",
                "/?q",
            ),
            (
                "https://localhost:8443/",
                "https://localhost:8443/",
                "localhost:8443",
                "/",
            ),
            (
                "https://[2001:db8::1]:9/",
                "https://[2001:db8::1]:9/",
                "[2001:db8::1]:9",
                "/",
            ),
            ("https://127.0.0.1", "https://127.0.0.1/", "127.0.0.1", "/"),
        ] {
            let url: Url = text.parse().unwrap();
            let read = (url.to_string(), url.authority(), url.path().to_owned());
            assert_eq!(read, (whole.into(), authority.into(), path.into()), "{text}");
        }
    }

    #[test]
    fn what_could_not_be_checked_is_told_why() {
        for (text, why) in [
            ("http://api.acme.example/", "is not an https URL"),
            ("api.acme.example", "is not an https URL"),
            ("", "is not an https URL"),
            ("https://", "has no host"),
            ("https:///v1", "has no host"),
            ("https://münchen.example/", "has no host"),
            ("https://api.acme.example./", "has no host"),
            ("https://[::1", "has no host"),
            ("https://[api]/", "has no host"),
            ("https://alice:secret@api.acme.example/", "names a user"),
            ("https://api.acme.example:0/", "port"),
            ("https://api.acme.example:65536/", "port"),
            ("https://api.acme.example:+1/", "port"),
            ("https://api.acme.example/a b", "written with %"),
            ("https://api.acme.example/\r\nX: y", "written with %"),
        ] {
            let told = text.parse::<Url>().unwrap_err().to_string();
            assert!(
                told.contains(why) || told.contains("writes with %"),
                "{text}: {told}"
            );
            assert!(!told.contains("secret"), "{told}");
        }
    }

    proptest! {
        #[test]
        fn a_request_line_is_one_line(path in ".*") {
            if let Ok(url) = format!("https://api.acme.example/{path}").parse::<Url>() {
                prop_assert!(url.path().bytes().all(|octet| octet.is_ascii_graphic()));
            }
        }
    }
}
