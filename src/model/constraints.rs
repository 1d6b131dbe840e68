//! Name constraints (RFC 5280 §4.2.1.10): the domains and addresses that our CAs can vouch for at all.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::subject::Email;
use super::text::{number, quoted};

/// A DNS domain of two labels or more, in lower case, ASCII, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `host` is this domain or lies below it.
    pub(super) fn covers(&self, host: &str) -> bool {
        host.strip_suffix(&self.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let name = text.to_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let labels: Vec<&str> = name.split('.').collect();
        let numeric_end = labels
            .last()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if labels.len() < 2 || name.len() > 253 || numeric_end || !labels.iter().all(|l| label(l)) {
            return Err(InvalidConstraint::Domain(quoted(text)));
        }
        Ok(Self(name))
    }
}

/// A range of IP addresses in CIDR form, `10.0.0.0/8`: no bit set beyond the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// Whether this address lies in it.
    pub fn covers(&self, address: IpAddr) -> bool {
        let octets = self.octets();
        let (network, mask) = octets.split_at(octets.len() / 2);
        let address = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        address.len() == network.len()
            && address
                .iter()
                .zip(mask)
                .map(|(a, m)| a & m)
                .eq(network.iter().copied())
    }

    /// Address and mask, as an iPAddress constraint holds them: 8 octets for IPv4, 32 for IPv6.
    pub fn octets(&self) -> Vec<u8> {
        let mask = |length: u8| -> Vec<u8> {
            (0..length)
                .map(|i| {
                    let bits = self.prefix.saturating_sub(8 * i).min(8);
                    (0xFF00_u16 >> bits).to_le_bytes()[0]
                })
                .collect()
        };
        match self.address {
            IpAddr::V4(v4) => [v4.octets().to_vec(), mask(4)].concat(),
            IpAddr::V6(v6) => [v6.octets().to_vec(), mask(16)].concat(),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for IpRange {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let invalid = || InvalidConstraint::IpRange(quoted(text));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let range = Self {
            address: address.parse().map_err(|_| invalid())?,
            prefix: number(prefix).ok_or_else(invalid)?,
        };
        let bits = if range.address.is_ipv4() { 32 } else { 128 };
        let octets = range.octets();
        let (host, mask) = octets.split_at(octets.len() / 2);
        let clean = host.iter().zip(mask).all(|(h, m)| h & !m == 0);
        if range.prefix > bits || !clean {
            Err(invalid())
        } else {
            Ok(range)
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = InvalidConstraint;

    fn try_from(text: String) -> Result<Self, InvalidConstraint> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl TryFrom<String> for IpRange {
    type Error = InvalidConstraint;

    fn try_from(text: String) -> Result<Self, InvalidConstraint> {
        text.parse()
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        range.to_string()
    }
}

/// Each of them once.
fn unique(domains: Vec<Domain>) -> Vec<Domain> {
    let mut kept = Vec::new();
    for domain in domains {
        if !kept.contains(&domain) {
            kept.push(domain);
        }
    }
    kept
}

/// A text that is no domain or no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConstraint {
    /// Not a domain.
    #[error(
        "{0} is not a domain such as acme.example (ASCII, two labels or more, no wildcard, no trailing dot)"
    )]
    Domain(String),
    /// Not a range of addresses.
    #[error("{0} is not a range of IP addresses such as 10.0.0.0/8 (no bits set beyond the prefix)")]
    IpRange(String),
}

impl fmt::Display for NameConstraints {
    /// For people: domains, those of mail alone, and addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains = self.domains.iter().map(ToString::to_string);
        let mail = self
            .email_domains
            .iter()
            .map(|domain| format!("mail of {domain}"));
        let ranges = self.ip_ranges.iter().map(ToString::to_string);
        let any = self.any_address.then(|| "any IP address".to_owned());
        let all: Vec<String> = domains.chain(mail).chain(ranges).chain(any).collect();
        f.write_str(&all.join(", "))
    }
}

/// The names that the certificates below a CA can carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameConstraints {
    /// Hosts, e-mail addresses and URIs of these domains and below them.
    pub domains: Vec<Domain>,
    /// E-mail addresses of these domains and below them, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_domains: Vec<Domain>,
    /// IP addresses in these ranges; none at all if this is empty, unless `any_address` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<IpRange>,
    /// Any IP address is permitted, because nothing is stated about them: verifiers exist that cannot read
    /// such constraints. Never set together with ranges.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_address: bool,
}

/// The extent to which the certificates of the root and the devices' CA of a PKI state its constraints: there
/// are verifiers that cannot read them. The servers' CA states all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// All constraints.
    All,
    /// The constraints on names, but nothing on IP addresses.
    NamesAlone,
    /// No constraints.
    Nothing,
}

impl NameConstraints {
    /// The constraints that an operator permits. The e-mail addresses of a domain are permitted with it.
    pub fn of(domains: Vec<Domain>, email_domains: Vec<Domain>, ip_ranges: Vec<IpRange>) -> Self {
        let domains = unique(domains);
        let mut email_domains = unique(email_domains);
        email_domains.retain(|domain| !domains.contains(domain));
        Self {
            domains,
            email_domains,
            ip_ranges,
            any_address: false,
        }
    }

    /// The part of these constraints that the root and the devices' CA state.
    pub fn said(&self, said: Said) -> Option<Self> {
        match said {
            Said::All => Some(self.clone()),
            Said::NamesAlone => Some(Self {
                ip_ranges: Vec::new(),
                any_address: true,
                ..self.clone()
            }),
            Said::Nothing => None,
        }
    }

    /// Whether both list the same domains, e-mail domains and IP ranges, in whatever order and however often.
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn sorted<T: ToString>(all: &[T]) -> Vec<String> {
            let mut all: Vec<String> = all.iter().map(T::to_string).collect();
            all.sort_unstable();
            all.dedup();
            all
        }
        self.any_address == other.any_address
            && sorted(&self.domains) == sorted(&other.domains)
            && sorted(&self.email_domains) == sorted(&other.email_domains)
            && sorted(&self.ip_ranges) == sorted(&other.ip_ranges)
    }

    /// Whether all that they permit is permitted by `outer` as well.
    pub fn lie_within(&self, outer: &Self) -> bool {
        let covered = |domain: &Domain, by: &[Domain]| by.iter().any(|one| one.covers(domain.as_str()));
        let mail: Vec<Domain> = outer.mail().cloned().collect();
        let range_is_covered = |range: &IpRange| {
            let mut all = outer.ip_ranges.iter();
            all.any(|one| one.prefix <= range.prefix && one.covers(range.address))
        };
        self.domains.iter().all(|domain| covered(domain, &outer.domains))
            && self.email_domains.iter().all(|domain| covered(domain, &mail))
            && (outer.any_address || (!self.any_address && self.ip_ranges.iter().all(range_is_covered)))
    }

    /// The constraints that the servers' CA states: it always states those on addresses.
    pub fn of_servers(&self) -> Self {
        Self {
            any_address: false,
            ..self.clone()
        }
    }

    /// Every domain whose e-mail addresses are permitted.
    pub fn mail(&self) -> impl Iterator<Item = &Domain> {
        self.domains.iter().chain(
            self.email_domains
                .iter()
                .filter(|domain| !self.domains.contains(domain)),
        )
    }

    /// Whether a certificate below may carry this address as rfc822Name.
    pub fn permit_email(&self, email: &Email) -> bool {
        let domain = email.domain();
        self.mail().any(|permitted| permitted.covers(&domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_two_labels_and_no_odd_characters() {
        assert_eq!("ACME.example".parse::<Domain>().unwrap().as_str(), "acme.example");
        for bad in [
            "",
            "localhost",
            "acme.example.",
            "*.acme.example",
            "a..b",
            "-a.b",
            "münchen.de",
            "10.0.0.1",
        ] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_is_address_and_mask() {
        let octets = |text: &str| text.parse::<IpRange>().unwrap().octets();
        assert_eq!(octets("10.0.0.0/8"), [10, 0, 0, 0, 255, 0, 0, 0]);
        assert_eq!(octets("192.168.4.0/22"), [192, 168, 4, 0, 255, 255, 252, 0]);
        assert_eq!(octets("10.1.2.3/32")[4..], [255; 4]);
        assert_eq!(octets("0.0.0.0/0"), [0; 8]);
        assert_eq!(octets("2001:db8::/32")[16..22], [255, 255, 255, 255, 0, 0]);
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "x/8",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
        ] {
            assert!(bad.parse::<IpRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn mail_is_permitted_in_a_domain_and_below_it_only() {
        let constraints = NameConstraints {
            domains: vec!["acme.example".parse().unwrap()],
            email_domains: vec!["mail.example".parse().unwrap()],
            ip_ranges: vec![],
            any_address: false,
        };
        let permits = |email: &str| constraints.permit_email(&email.parse().unwrap());
        assert!(permits("a@acme.example") && permits("a@HR.acme.EXAMPLE") && permits("a@mail.example"));
        assert!(!permits("a@notacme.example") && !permits("a@acme.example.evil.org"));
    }
}
