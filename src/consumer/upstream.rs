//! The address of the application behind a server: `http://HOST:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::model::text::{number, quoted_url};

/// The address to which a server forwards requests: `http://HOST:PORT`. Its text needs no quoting in any
/// language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
}

impl Upstream {
    /// Host and port, an IPv6 address in brackets: `127.0.0.1:3000`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// The error for a text that is not the address of an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not the address of an application such as http://127.0.0.1:3000 (plain http, a host, a port, no path)"
)]
pub struct InvalidUpstream(String);

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let invalid = || InvalidUpstream(quoted_url(text));
        let rest = text.strip_prefix("http://").ok_or_else(invalid)?;
        let (host, port) = rest
            .strip_suffix('/')
            .unwrap_or(rest)
            .rsplit_once(':')
            .ok_or_else(invalid)?;
        let name = |host: &str| {
            !host.is_empty()
                && !host.starts_with('-')
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
        };
        let address = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inner| inner.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()));
        let port: u16 = number(port).ok_or_else(invalid)?;
        if (!address && !name(host)) || port == 0 {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_a_host_and_a_port_behind_plain_http() {
        let upstream = |text: &str| text.parse::<Upstream>();
        assert_eq!(
            upstream("http://127.0.0.1:3000/").unwrap().to_string(),
            "http://127.0.0.1:3000"
        );
        assert_eq!(upstream("http://[::1]:80").unwrap().host(), "::1");
        assert_eq!(upstream("http://App:80").unwrap().authority(), "app:80");
        for bad in [
            "https://a:1",
            "http://a",
            "http://a:0",
            "http://a:70000",
            "http://a:+80",
            "http://a:",
            "http://a:1/x",
            "http://a b:1",
            "http://::1:80",
            "http://a;b:1",
            "http://[a]:1",
            "http://:1",
            "a:1",
        ] {
            assert!(upstream(bad).is_err(), "{bad}");
        }
    }
}
