//! Addresses of hosts that are given on the command line, for hosts that the name service is not to be asked
//! for.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::model::text::{number, quoted};

/// The address of a host, given as `HOST:PORT:ADDR`, as curl has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    port: u16,
    address: IpAddr,
}

/// The error for a text that is not of the form `HOST:PORT:ADDR`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not HOST:PORT:ADDR such as api.acme.example:443:192.0.2.7")]
pub struct InvalidResolve(String);

impl Resolve {
    /// The address of a host, in lower case and without brackets, where one of these is about it.
    pub fn address_of(all: &[Self], host: &str, port: u16) -> Option<IpAddr> {
        let told = all.iter().find(|told| told.host == host && told.port == port);
        told.map(|told| told.address)
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.host, self.port, self.address)
    }
}

impl FromStr for Resolve {
    type Err = InvalidResolve;

    fn from_str(text: &str) -> Result<Self, InvalidResolve> {
        let parse = || {
            let (host, rest) = text.split_once(':')?;
            let (port, address) = rest.split_once(':')?;
            let bare = address
                .strip_prefix('[')
                .and_then(|address| address.strip_suffix(']'))
                .unwrap_or(address);
            Some(Self {
                host: Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())?,
                port: number(port).filter(|port| *port != 0)?,
                address: bare.parse().ok()?,
            })
        };
        parse().ok_or_else(|| InvalidResolve(quoted(text)))
    }
}

/// The name service, and before it what the operator said.
#[derive(Debug)]
pub(super) struct Names {
    pub told: Vec<Resolve>,
    pub service: DefaultResolver,
}

/// A name that the name service does not know, in its words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAddress(pub String);

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (host, port) = place(uri);
        if let Some(address) = Resolve::address_of(&self.told, &host, port) {
            let mut found = self.empty();
            found.push(SocketAddr::new(address, port));
            return Ok(found);
        }
        let found = self.service.resolve(uri, config, timeout);
        if let Err(ureq::Error::Io(why)) = found {
            return Err(ureq::Error::Io(io::Error::other(NoAddress(why.to_string()))));
        }
        found
    }
}

/// The addresses of a host.
pub(super) fn addresses(told: &[Resolve], host: &str, port: u16) -> Vec<SocketAddr> {
    match Resolve::address_of(told, host, port) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => (host, port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .unwrap_or_default(),
    }
}

/// The host of a URL, in lower case and without brackets, and its port.
pub(super) fn place(uri: &Uri) -> (String, u16) {
    let host = uri.host().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    (bare.to_ascii_lowercase(), uri.port_u16().unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_looked_up_where_the_operator_says() {
        let told: [Resolve; 2] = [
            "www.acme.example:443:192.0.2.7",
            "API.acme.example:8443:127.0.0.1",
        ]
        .map(|text| text.parse().unwrap());
        let at = |host: &str, port| Resolve::address_of(&told, host, port);
        assert_eq!(at("api.acme.example", 8443), Some([127, 0, 0, 1].into()));
        assert_eq!(at("api.acme.example", 443), None);
        assert_eq!(at("www.acme.example", 8443), None);
        assert!("h:1:[::1]".parse::<Resolve>().is_ok() && "h:1:::1".parse::<Resolve>().is_ok());
        for bad in [
            "",
            "h",
            "h:1",
            "h:1:",
            "h:+1:127.0.0.1",
            "h::127.0.0.1",
            ":1:127.0.0.1",
            "h:0:127.0.0.1",
            "h:x:127.0.0.1",
            "h:1:host",
        ] {
            assert!(bad.parse::<Resolve>().is_err(), "{bad}");
        }
    }
}
