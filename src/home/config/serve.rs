//! The `[serve]` table of `pki.toml`: where `pki serve` listens, and what it is called from outside.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::{InvalidConfig, value};
use crate::disk;
use crate::model::text::quoted;
use crate::model::{Host, IpRange};

/// The `[serve]` table, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serve {
    /// The name, perhaps with a port, by which phones reach the page.
    pub host: Option<Authority>,
    /// The name, perhaps with a port, by which devices enroll and renew; none where it is `host`'s.
    pub device_host: Option<Authority>,
    /// The URL of the API, for whoever has enrolled to try.
    pub api: Option<String>,
    /// The address that the page listens on.
    pub page: Option<SocketAddr>,
    /// The address that devices are served on.
    pub device: Option<SocketAddr>,
    /// The address that status is served on: CRLs, CA certificates, pins, OCSP.
    pub status: Option<SocketAddr>,
    /// The address that servers order certificates at (ACME).
    pub acme: Option<SocketAddr>,
    /// The name, perhaps with a port, by which servers reach that; none where it is that of the devices.
    pub acme_host: Option<Authority>,
    /// The certificate of the page, with those above it, PEM.
    pub page_certificate: Option<PathBuf>,
    /// The key of that certificate.
    pub page_key: Option<PathBuf>,
    /// What follows when a second key comes with the right secret.
    pub on_second_try: SecondTry,
    /// The proxies that may say whose connections and requests they pass on.
    pub proxies: Vec<IpRange>,
    /// Who may read metrics and readiness.
    pub metrics_from: Vec<IpRange>,
    /// Whether the log has the names of people and devices.
    pub log_names: bool,
}

impl Serve {
    /// The name, perhaps with a port, by which servers reach the face for ACME, where that listens at this
    /// port.
    pub fn acme_authority(&self, port: u16) -> Option<Authority> {
        if self.acme_host.is_some() {
            return self.acme_host.clone();
        }
        let host = self.device_host.as_ref().or(self.host.as_ref())?.host.clone();
        let port = Some(port).filter(|port| *port != 443);
        Some(Authority { host, port })
    }

    /// The URL that ACME clients are given, where `pki.toml` says it.
    pub fn acme_directory(&self) -> Option<String> {
        let authority = self.acme_authority(self.acme?.port())?;
        Some(format!("https://{authority}{ACME_DIRECTORY}"))
    }
}

/// The path of the directory of ACME (RFC 8555 §7.1.1).
pub const ACME_DIRECTORY: &str = "/acme/directory";

/// What follows when a second key comes with the right secret of a redeemed invite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondTry {
    /// It is recorded and told; the first key keeps its certificate.
    #[default]
    Tell,
    /// The certificate of the first key is revoked, too.
    Revoke,
}

/// A host with the port that it is reached at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port; none for that of https.
    pub port: Option<u16>,
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            Host::Address(IpAddr::V4(_)) | Host::Name(_) => self.host.fmt(f)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |host: &str, port| {
            let host = host.parse().map_err(|why| format!("{why}"))?;
            Ok(Self { host, port })
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return of(&address.ip().to_string(), Some(address.port()));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => match port.parse() {
                Ok(0) | Err(_) => Err(format!("{} is no port", quoted(port))),
                Ok(port) => of(host, Some(port)),
            },
            _ => of(text.trim_start_matches('[').trim_end_matches(']'), None),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    host: Option<String>,
    device_host: Option<String>,
    api: Option<String>,
    page: Option<String>,
    device: Option<String>,
    status: Option<String>,
    acme: Option<String>,
    acme_host: Option<String>,
    page_certificate: Option<PathBuf>,
    page_key: Option<PathBuf>,
    #[serde(default)]
    on_second_try: SecondTry,
    #[serde(default)]
    proxies: Vec<String>,
    metrics_from: Option<Vec<String>>,
    #[serde(default)]
    log_names: bool,
}

/// The addresses that are this machine.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

impl Table {
    /// Checks what the table says.
    ///
    /// # Errors
    /// The first value that is not valid.
    pub(super) fn check(self) -> Result<Serve, InvalidConfig> {
        let serve = Serve {
            host: read("host", self.host.as_deref())?,
            device_host: read("device_host", self.device_host.as_deref())?,
            api: self.api.map(check_api).transpose()?,
            page: address("page", self.page.as_deref())?,
            device: address("device", self.device.as_deref())?,
            status: address("status", self.status.as_deref())?,
            acme: address("acme", self.acme.as_deref())?,
            acme_host: read("acme_host", self.acme_host.as_deref())?,
            page_certificate: whole("page_certificate", self.page_certificate)?,
            page_key: whole("page_key", self.page_key)?,
            on_second_try: self.on_second_try,
            proxies: ranges("proxies", &self.proxies)?,
            metrics_from: match self.metrics_from {
                Some(given) => ranges("metrics_from", &given)?,
                None => ranges("metrics_from", &LOOPBACK)?,
            },
            log_names: self.log_names,
        };
        if serve.page_certificate.is_some() != serve.page_key.is_some() {
            let (key, other) = match serve.page_key {
                None => ("page_certificate", "page_key"),
                Some(_) => ("page_key", "page_certificate"),
            };
            return Err(value(key, "", format!("{other} belongs to it, and is missing")));
        }
        Ok(serve)
    }
}

fn read<T: FromStr<Err = String>>(key: &'static str, text: Option<&str>) -> Result<Option<T>, InvalidConfig> {
    text.map(|text| text.parse().map_err(|why: String| value(key, text, why)))
        .transpose()
}

fn address(key: &'static str, text: Option<&str>) -> Result<Option<SocketAddr>, InvalidConfig> {
    let rule = "it must be an address and a port, such as \"0.0.0.0:8443\" or \"[::]:8443\"";
    text.map(|text| text.parse().map_err(|_| value(key, text, rule)))
        .transpose()
}

fn ranges(key: &'static str, texts: &[impl AsRef<str>]) -> Result<Vec<IpRange>, InvalidConfig> {
    let rule = "it must be a range of addresses, such as \"192.0.2.0/24\" or \"192.0.2.7/32\"";
    let texts = texts.iter().map(AsRef::as_ref);
    texts
        .map(|text| text.parse().map_err(|_| value(key, text, rule)))
        .collect()
}

fn whole(key: &'static str, path: Option<PathBuf>) -> Result<Option<PathBuf>, InvalidConfig> {
    match path {
        Some(path) if disk::has_tilde(&path) || path.is_relative() => {
            Err(value(key, &path.to_string_lossy(), "it must be an absolute path"))
        }
        path => Ok(path),
    }
}

fn check_api(url: String) -> Result<String, InvalidConfig> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~:/?[]@!$&()*+,;=%-".contains(&b);
    let rest = url.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || url.len() > 200 || !rest.bytes().all(plain) {
        return Err(value("api", &url, "it must be an https:// URL"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn where_it_is_reached_has_a_port_or_none() {
        for (text, host, port) in [
            ("enroll.acme.example", "enroll.acme.example", None),
            ("enroll.acme.example:8443", "enroll.acme.example", Some(8443)),
            ("192.0.2.7:8443", "192.0.2.7", Some(8443)),
            ("[2001:db8::1]:8443", "[2001:db8::1]", Some(8443)),
            ("2001:db8::1", "[2001:db8::1]", None),
        ] {
            let read: Authority = text.parse().unwrap();
            assert_eq!(read.port, port, "{text}");
            let again = Authority {
                port: None,
                ..read.clone()
            };
            assert_eq!(again.to_string(), host);
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in [
            "",
            "enroll",
            "https://enroll.acme.example",
            "a.example:",
            "a.example:0",
            "a.example:x",
        ] {
            assert!(text.parse::<Authority>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, named) in [
            ("host = \"https://enroll.acme.example\"", "host"),
            ("page = \"8443\"", "page"),
            ("device = \"enroll.acme.example:8443\"", "an address and a port"),
            ("page_certificate = \"/etc/page.crt\"", "page_key"),
            ("page_key = \"/etc/page.key\"", "page_certificate"),
            ("page_certificate = \"page.crt\"\npage_key = \"/k\"", "absolute"),
            ("on_second_try = \"burn\"", "on_second_try"),
            ("api = \"http://api.acme.example\"", "api"),
            ("listen = \"0.0.0.0:1\"", "listen"),
            ("proxies = [\"10.0.0.1\"]", "proxies"),
            ("metrics_from = [\"10.0.0.1/8\"]", "metrics_from"),
        ] {
            let why = Config::parse(&format!("[serve]\n{line}"))
                .unwrap_err()
                .to_string();
            assert!(why.contains(named), "{line}: {why}");
        }
    }
}
