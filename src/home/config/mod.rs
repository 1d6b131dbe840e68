//! Reads `pki.toml`, the configuration of a home: the decisions of the operator.

mod publish_to;
mod remedy;
mod serve;

pub use publish_to::{PublishTo, Reload};
pub use serve::{ACME_DIRECTORY, Authority, SecondTry, Serve};

use std::path::PathBuf;

use serde::Deserialize;

use publish_to::{check_target, demand_apart};
use remedy::remedy;

use crate::age::{Recipient, UnfitRecipient};
use crate::disk::{self, Shown};
use crate::model::profile::Names;
use crate::model::{Device, IpRange, Profile, Span};

/// The configuration of a home, read from `pki.toml` and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The URL at which the public half of the publication is served.
    pub base_url: Option<String>,
    /// The URL of the OCSP responder that certificates are issued with.
    pub ocsp_url: Option<String>,
    /// The name of the device that is used where none is given.
    pub default_device: Device,
    /// The profile that is used where none is given.
    pub default_profile: String,
    /// Whether people's names go into certificates.
    pub names: Names,
    /// Whether issuing publishes at once.
    pub publish_on_issue: bool,
    /// The means by which backups of the home are made, where that is known.
    pub backup: Option<Backup>,
    /// Whom `pki backup` encrypts to, where it is told nobody else.
    pub backup_to: Vec<Recipient>,
    /// The networks that servers let in; empty: all of them.
    pub allowed_networks: Vec<IpRange>,
    /// The command that prints the issuing key's passphrase.
    pub passphrase_command: Option<Vec<String>>,
    /// The command that prints the root key's passphrase.
    pub root_passphrase_command: Option<Vec<String>>,
    /// The path of the root's key, as written.
    pub root_key: PathBuf,
    /// The validity of a device's certificate in days, by the built-in profile.
    pub days: i64,
    /// The period over which the expiry dates of certificates are spread, where no validity was asked for.
    pub spread: Span,
    /// The time before the expiry of devices' certificates at which the timer begins to warn; none: not at
    /// all.
    pub warn_before: Span,
    /// The validity of an issuing CA's CRL.
    pub issuing_crl_life: Span,
    /// The validity of the root's CRL.
    pub root_crl_life: Span,
    /// The time for which the pin of a server's next key is published before the key can be used, and that of
    /// its last key afterwards.
    pub pin_overlap: Span,
    /// The validity of pin sets: for this long apps use the ones that they have.
    pub pin_life: Span,
    /// The `[serve]` table: where `pki serve` listens, and what it is called.
    pub serve: Serve,
    /// The `[[publish]]` tables: the places that publications go to, beside the home.
    pub publish: Vec<PublishTo>,
    /// Whether the file says where they go, even if that is nowhere else (`publish = []`).
    pub says_places: bool,
}

/// The means by which backups of the home are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backup {
    /// Something that this program does not start, nor sees.
    Elsewhere,
}

/// The errors by which `pki.toml` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// A value that is not valid.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// The key in `pki.toml`.
        key: &'static str,
        /// The value that it has.
        value: String,
        /// The rule for its value.
        rule: String,
    },
    /// A place that two tables name, or that is given for both halves.
    #[error("[[publish]]: {0} is named twice: each place must be another one")]
    Twice(Shown),
    /// A `[[publish]]` table breaks a rule.
    #[error("[[publish]]: {0}")]
    Target(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    base_url: Option<String>,
    ocsp_url: Option<String>,
    default_device: Option<String>,
    default_profile: Option<String>,
    names_in_certificates: Option<Names>,
    publish_on_issue: Option<bool>,
    backup: Option<Backup>,
    #[serde(default)]
    backup_to: Vec<String>,
    #[serde(default)]
    allowed_networks: Vec<String>,
    passphrase_command: Option<Vec<String>>,
    root_passphrase_command: Option<Vec<String>>,
    root_key: Option<PathBuf>,
    #[serde(default)]
    lifetimes: Lifetimes,
    #[serde(default)]
    pins: Pins,
    #[serde(default)]
    serve: serve::Table,
    publish: Option<Vec<PublishTo>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Lifetimes {
    days: Option<i64>,
    spread: Option<String>,
    warn_days: Option<i64>,
    issuing_crl_days: Option<i64>,
    root_crl_days: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Pins {
    overlap_days: Option<i64>,
    life_days: Option<i64>,
}

/// The path of the root's key unless `pki.toml` says otherwise.
pub const ROOT_KEY: &str = "root/root.key";

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self::parse("").expect("an empty file is all defaults")
    }
}

impl Config {
    /// Reads the text of `pki.toml`.
    ///
    /// # Errors
    /// The first key or value in it that is not valid.
    pub fn parse(text: &str) -> Result<Self, InvalidConfig> {
        let file: File = toml::from_str(text).map_err(|error| {
            let told = error.to_string();
            let told = told.trim_end();
            InvalidConfig::Syntax(match remedy(text, &error) {
                Some(remedy) => format!("{told}\n{remedy}"),
                None => told.to_owned(),
            })
        })?;
        if let Some(url) = &file.base_url {
            check_base_url(url)?;
        }
        if let Some(url) = &file.ocsp_url {
            check_url("ocsp_url", url)?;
            if file.base_url.is_none() {
                return Err(value("ocsp_url", url, "it needs base_url beside it"));
            }
        }
        let device = file.default_device.unwrap_or_else(|| "phone".into());
        let default_profile = file.default_profile.unwrap_or_else(|| "device".into());
        Profile::check_name(&default_profile).map_err(|e| value("default_profile", &default_profile, e))?;
        let days = |key, given: Option<i64>, default, bounds: std::ops::RangeInclusive<i64>| {
            let days = given.unwrap_or(default);
            if bounds.contains(&days) {
                return Ok(Span::days(days));
            }
            Err(value(
                key,
                &days.to_string(),
                format!("it must be {} to {} days", bounds.start(), bounds.end()),
            ))
        };
        for (key, command) in [
            ("passphrase_command", &file.passphrase_command),
            ("root_passphrase_command", &file.root_passphrase_command),
        ] {
            if command
                .as_ref()
                .is_some_and(|c| c.first().is_none_or(String::is_empty))
            {
                return Err(InvalidConfig::Value {
                    key,
                    value: "[]".into(),
                    rule: "it must name a program".into(),
                });
            }
        }
        let allowed_networks = file
            .allowed_networks
            .iter()
            .map(|text| network(text))
            .collect::<Result<_, _>>()?;
        let says_places = file.publish.is_some();
        let publish = file.publish.unwrap_or_default();
        for target in &publish {
            check_target(target)?;
        }
        let pin_overlap = days("overlap_days", file.pins.overlap_days, 30, 1..=180)?;
        let pin_life = days("life_days", file.pins.life_days, 365, 60..=800)?;
        if pin_life.as_seconds() < 2 * pin_overlap.as_seconds() {
            // Half of it is the longest that a set stands before it is signed anew.
            let rule =
                "it must be twice overlap_days or more: apps must learn a new pin before their set ends";
            return Err(value(
                "life_days",
                &(pin_life.as_seconds() / 86_400).to_string(),
                rule,
            ));
        }
        demand_apart(&publish)?;
        let life = days("days", file.lifetimes.days, 90, 1..=Profile::LIMIT)?;
        Ok(Self {
            days: life.as_seconds() / 86_400,
            spread: spread(file.lifetimes.spread.as_deref(), life)?,
            warn_before: days("warn_days", file.lifetimes.warn_days, 30, 0..=180)?,
            base_url: file.base_url,
            ocsp_url: file.ocsp_url,
            default_device: device.parse().map_err(|e| value("default_device", &device, e))?,
            default_profile,
            names: file.names_in_certificates.unwrap_or(Names::Shown),
            publish_on_issue: file.publish_on_issue.unwrap_or(true),
            backup: file.backup,
            backup_to: recipients(&file.backup_to)?,
            allowed_networks,
            passphrase_command: file.passphrase_command,
            root_passphrase_command: file.root_passphrase_command,
            root_key: root_key(file.root_key)?,
            issuing_crl_life: days("issuing_crl_days", file.lifetimes.issuing_crl_days, 30, 2..=90)?,
            pin_overlap,
            pin_life,
            root_crl_life: days("root_crl_days", file.lifetimes.root_crl_days, 400, 30..=800)?,
            serve: file.serve.check()?,
            publish,
            says_places,
        })
    }
}

/// Whom backups are encrypted to.
fn recipients(named: &[String]) -> Result<Vec<Recipient>, InvalidConfig> {
    let read = |text: &String| {
        let read: Result<Recipient, UnfitRecipient> = text.parse();
        read.map_err(|why| {
            // A secret by mistake is not repeated.
            let shown = if why == UnfitRecipient::Identity {
                "…"
            } else {
                text
            };
            value("backup_to", shown, why)
        })
    };
    named.iter().map(read).collect()
}

/// Where the root's key is: in the home, unless the path is absolute.
fn root_key(path: Option<PathBuf>) -> Result<PathBuf, InvalidConfig> {
    let path = path.unwrap_or_else(|| ROOT_KEY.into());
    if disk::has_tilde(&path) {
        let rule = "it must be the whole path: only a shell knows what ~ stands for";
        return Err(value("root_key", &path.to_string_lossy(), rule));
    }
    Ok(path)
}

fn value(key: &'static str, value: &str, rule: impl ToString) -> InvalidConfig {
    InvalidConfig::Value {
        key,
        value: match value.parse::<i64>() {
            Ok(number) => number.to_string(),
            Err(_) => crate::model::text::quoted(value),
        },
        rule: rule.to_string(),
    }
}

/// Over how many days ends are spread: so few that every certificate lives half of `life` at least.
fn spread(text: Option<&str>, life: Span) -> Result<Span, InvalidConfig> {
    let Some(text) = text else {
        return Ok(Span::days(0));
    };
    let spread: Span = text.parse().map_err(|e| value("spread", text, e))?;
    if spread.as_seconds() % 86_400 != 0 || spread.as_seconds() * 2 > life.as_seconds() {
        let rule = "it must be whole days, such as \"14d\", and half of `days` at most";
        return Err(value("spread", text, rule));
    }
    Ok(spread)
}

fn network(text: &str) -> Result<IpRange, InvalidConfig> {
    text.parse().map_err(|_| {
        let rule =
            "it must be a network such as 192.0.2.0/24 or 2001:db8::/32, with no bit set beyond the prefix";
        value("allowed_networks", text, rule)
    })
}

/// A URL that certificates can carry: plain http, a host, printable ASCII, no query.
///
/// # Errors
/// Anything else.
pub fn check_base_url(url: &str) -> Result<(), InvalidConfig> {
    check_url("base_url", url)
}

fn check_url(key: &'static str, url: &str) -> Result<(), InvalidConfig> {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~' | b'/' | b':');
    if host.is_empty() || url.len() > 200 || !rest.bytes().all(plain) {
        let rule = "it must be an http:// URL of a host, perhaps with a path (not https: checking its certificate would need the very CRL)";
        return Err(value(key, url, rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz;

    #[test]
    fn an_empty_file_is_all_defaults() {
        let config = Config::default();
        assert!(config.publish_on_issue && config.publish.is_empty());
        assert_eq!(config.issuing_crl_life, Span::days(30));
        assert_eq!(config.default_device.as_str(), "phone");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, named) in [
            ("base_ulr = \"http://x\"", "base_ulr"),
            ("publish_on_issue = \"yes\"", "publish_on_issue"),
            ("base_url = \"https://pki.acme.example\"", "base_url"),
            ("base_url = \"http://\"", "base_url"),
            ("ocsp_url = \"http://pki.acme.example/ocsp\"", "base_url"),
            ("ocsp_url = \"https://pki.acme.example/ocsp\"", "ocsp_url"),
            ("default_device = \"My Phone\"", "default_device"),
            ("[lifetimes]\nissuing_crl_days = 0", "issuing_crl_days"),
            ("[lifetimes]\nroot_crl_days = 5000", "root_crl_days"),
            ("[lifetimes]\ndays = 399", "days"),
            ("[lifetimes]\nwarn_days = -1", "warn_days"),
            ("[lifetimes]\nspread = 14", "spread"),
            ("[lifetimes]\nspread = \"36h\"", "whole days"),
            ("[lifetimes]\ndays = 20\nspread = \"11d\"", "half of `days`"),
            ("[pins]\noverlap_days = 0", "overlap_days"),
            ("[pins]\nlife_days = 59", "life_days"),
            ("[pins]\noverlap_days = 90\nlife_days = 179", "twice overlap_days"),
            ("passphrase_command = []", "passphrase_command"),
            (
                "allowed_networks = [\"192.0.2.0/24\", \"192.0.2.1/24\"]",
                "192.0.2.1/24",
            ),
            ("allowed_networks = [\"192.0.2.7\"]", "allowed_networks"),
            ("allowed_networks = \"192.0.2.0/24\"", "allowed_networks"),
            ("[[publish]]\ngroup = \"x\"", "publish"),
            ("[[publish]]\npublic = \"relative\"", "publish"),
            ("[[publish]]\npublic = \"/a\"\nserver = \"/a\"", "publish"),
            ("[[publish]]\npublic = \"/a/../b\"", "without `..`"),
            ("[[publish]]\nserver = \"/a/b/..\"", "without `..`"),
            (
                "[[publish]]\npublic = \"/a\"\nserver = \"/a/b\"",
                "none may lie in another",
            ),
            (
                "[[publish]]\npublic = \"/a\"\n[[publish]]\nserver = \"/a/./\"",
                "another one",
            ),
            ("[[publish]]\npublic = \"s3://acme/public\"\n", "needs `region`"),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"",
                "needs `credentials_file`",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"c\"",
                "absolute",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"a b\"\ncredentials_file = \"/c\"",
                "needs `region`",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\nendpoint = \"http://minio.example\"",
                "`endpoint`",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\nprofile = \"a]\"",
                "`profile`",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\nserver = \"s3://acme/public/server\"",
                "none may lie in another",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\nserver = \"s3://acme/public\"",
                "two places",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\nserver = \"/srv/server\"",
                "a table each",
            ),
            (
                "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\ngroup = \"x\"",
                "`group`",
            ),
            ("[[publish]]\npublic = \"s3://a/b\"\n", "s3://BUCKET/PREFIX"),
            (
                "[[publish]]\npublic = \"/a\"\nregion = \"r\"",
                "are for s3:// places",
            ),
            ("[[publish]]\npublic = \"/a\"\ncommand = []", "`command`"),
            ("[[publish]]\npublic = \"/a\"\nreload = \"nginx\"", "elsewhere"),
            (
                "[[publish]]\npublic = \"/a\"\nreload = \"elsewhere\"\ncommand = [\"true\"]",
                "one of them",
            ),
            (
                "[[publish]]\nserver = \"/a/b\"\n[[publish]]\npublic = \"/a\"",
                "none may lie in another",
            ),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn damaged_files_are_refused_in_words_or_hold_to_the_rules() {
        let mut valid = vec![
            "base_url = \"http://pki.acme.example/a\"\nallowed_networks = [\"10.0.0.0/8\"]\n[lifetimes]\n\
             days = 90\nspread = \"14d\"\n[pins]\nlife_days = 365\n"
                .as_bytes()
                .to_vec(),
            b"[[publish]]\npublic = \"/p\"\nserver = \"/s\"\ngroup = \"www\"\ncommand = [\"true\"]\n[[publish]]\n\
              public = \"s3://acme/a\"\nregion = \"eu\"\ncredentials_file = \"/c\"\n"
                .to_vec(),
        ];
        let read = |text: &str| match Config::parse(text) {
            Ok(config) => {
                assert!(config.spread.as_seconds() * 2 <= config.days * 86_400);
                assert!(config.publish.iter().all(|table| table.places().count() > 0));
                true
            }
            Err(why) => {
                assert!(!why.to_string().is_empty());
                false
            }
        };
        fuzz::damaged_texts(&valid, read);
        valid = fuzz::seeds::files("pki.toml");
        fuzz::damaged_texts(&valid, |text| {
            read(text);
            true
        });
    }
}
