//! The name of a server: a DNS name or an IP address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::constraints::{Domain, NameConstraints};
use super::text::quoted;

/// A server as its certificate names it: a DNS name of two labels or more in lower case and ASCII, or an IP
/// address (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// A DNS name (dNSName).
    Name(Domain),
    /// An IP address (iPAddress).
    Address(IpAddr),
}

impl Host {
    /// The stem of its files: colons of an IPv6 address become hyphens, for some file systems refuse them.
    pub fn file_stem(&self) -> String {
        let name = self.to_string().replace(':', "-");
        // A name that begins with a hyphen is an option to most programs.
        if name.starts_with('-') {
            format!("0{name}")
        } else {
            name
        }
    }

    /// The CN of its certificate. An IPv4 address alone would be a DNS name there to OpenSSL, outside of
    /// every name constraint.
    pub fn common_name(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Address(address) => format!("IP {address}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl TryFrom<String> for Host {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let shown = || quoted(text);
        if !text.is_ascii() {
            return Err(InvalidHost::NotAscii(shown()));
        }
        if text.contains("://") || text.contains('/') {
            return Err(InvalidHost::Url(shown()));
        }
        if text.contains('*') {
            return Err(InvalidHost::Wildcard(shown()));
        }
        if text.ends_with('.') {
            return Err(InvalidHost::TrailingDot(shown()));
        }
        if text.contains(':') {
            return Err(InvalidHost::Port(shown()));
        }
        // The CN of its certificate holds no more (RFC 5280 appendix A.1: ub-common-name).
        if text.len() > 64 {
            return Err(InvalidHost::Long(shown()));
        }
        text.parse()
            .map(Self::Name)
            .map_err(|_| InvalidHost::Name(shown()))
    }
}

/// The reason for which a text is not the name of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// An internationalized name.
    #[error("{0} is not ASCII: write the name as DNS has it, with xn-- (an A-label)")]
    NotAscii(String),
    /// Something with a scheme or a path.
    #[error("{0} is a URL or a path: name the host alone, such as api.acme.example")]
    Url(String),
    /// A wildcard.
    #[error("{0} has a wildcard: name each host that is meant")]
    Wildcard(String),
    /// A fully qualified form with the root's dot.
    #[error("{0} ends with a dot: certificates name hosts without it")]
    TrailingDot(String),
    /// A port.
    #[error("{0} has a port: name the host alone")]
    Port(String),
    /// More characters than a CN holds.
    #[error("{0} has more than 64 characters, which a certificate's CN does not hold")]
    Long(String),
    /// Anything else.
    #[error("{0} is not a host such as api.acme.example (two labels or more, letters, digits and hyphens)")]
    Name(String),
}

impl NameConstraints {
    /// Whether a certificate below may name this host.
    pub fn permit_host(&self, host: &Host) -> bool {
        match host {
            Host::Name(name) => self.domains.iter().any(|domain| domain.covers(name.as_str())),
            Host::Address(address) => {
                self.any_address || self.ip_ranges.iter().any(|range| range.covers(*address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_what_is_neither_is_told_why() {
        let host = |text: &str| text.parse::<Host>();
        assert_eq!(host("API.acme.example").unwrap().to_string(), "api.acme.example");
        assert_eq!(host("2001:DB8::1").unwrap().file_stem(), "2001-db8--1");
        assert_eq!(host("::1").unwrap().file_stem(), "0--1");
        let refused = [
            ("münchen.example", "xn--"),
            ("*.acme.example", "wildcard"),
            ("acme.example.", "ends with a dot"),
            ("https://api.acme.example", "URL"),
            ("api.acme.example/x", "URL"),
            ("api.acme.example:443", "port"),
            ("localhost", "two labels"),
            ("a..b", "two labels"),
            ("", "two labels"),
            ("1.2.3", "two labels"),
        ];
        let long = format!("{}.acme.example", "a".repeat(52));
        assert!(host(&long).unwrap_err().to_string().contains("64 characters"));
        assert!(host(&long[1..]).is_ok());
        for (text, why) in refused {
            let told = host(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn where_nothing_is_said_of_addresses_any_lies_within_the_constraints_and_names_are_held_to_them() {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            any_address: true,
            ..NameConstraints::default()
        };
        for (host, permitted) in [
            ("10.1.2.3", true),
            ("2001:db8::7", true),
            ("other.example", false),
        ] {
            assert_eq!(
                constraints.permit_host(&host.parse().unwrap()),
                permitted,
                "{host}"
            );
        }
    }

    #[test]
    fn a_host_lies_within_the_constraints_or_not() {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            email_domains: vec!["mail.example".parse().unwrap()],
            ip_ranges: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            any_address: false,
        };
        for (host, permitted) in [
            ("acme.example", true),
            ("api.acme.example", true),
            ("notacme.example", false),
            ("mail.example", false),
            ("10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8::7", true),
            ("2001:db9::7", false),
        ] {
            assert_eq!(
                constraints.permit_host(&host.parse().unwrap()),
                permitted,
                "{host}"
            );
        }
    }
}
