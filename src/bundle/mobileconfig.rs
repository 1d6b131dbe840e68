//! Writes Apple's configuration profile (`.mobileconfig`), which an iPhone or a Mac installs when it is
//! opened.
//!
//! The MIME type is `application/x-apple-aspen-config`. What the profile installs serves Safari, Mail, Wi-Fi
//! and VPN, not a company's own app. A profile is readable by anybody who holds it, so that it never contains
//! the bundle's passphrase; the system asks for that.

use data_encoding::BASE64;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use rand_core::CryptoRng;

use super::BundleError;

/// The contents of a configuration profile.
#[derive(Clone, Copy)]
pub struct MobileConfig<'a> {
    /// In reverse-DNS style, unique to the organization and the device, and the same over renewals: by it the
    /// system knows that a profile replaces an older one. The payloads' identifiers begin with it.
    pub identifier: &'a str,
    /// The name of the profile and of the identity, as the system shows it.
    pub display_name: &'a str,
    /// The organization; the CAs are shown by its name.
    pub organization: &'a str,
    /// The bundle: PKCS#12 in DER.
    pub p12: &'a [u8],
    /// The issuing CA's certificate, DER.
    pub issuing: &'a [u8],
    /// Whether the device is asked to trust the root.
    pub root: RootCertificate<'a>,
}

/// Whether a profile carries the root's certificate. One that does makes the device trust the root for
/// everything its name constraints leave open; an identity needs no such trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootCertificate<'a> {
    /// The profile does not carry it.
    Omitted,
    /// The profile carries this certificate, DER.
    Included(&'a [u8]),
}

impl MobileConfig<'_> {
    /// The template that is built in; `templates/mobileconfig.plist` in the home takes its place.
    pub const TEMPLATE: &'static str = include_str!("../../templates/mobileconfig.plist");

    /// The profile as an XML property list, with new PayloadUUIDs (RFC 9562 §5.4).
    ///
    /// The template knows `identifier`, `display_name`, `organization`, `p12`, `issuing` and `root` (base64;
    /// `root` is none where it is omitted), and `uuid.profile`, `.identity`, `.issuing`, `.root`. All is
    /// escaped for XML.
    ///
    /// # Errors
    /// Where the template is faulty or names something else, or a text holds what XML cannot say.
    pub fn render(&self, template: &str, rng: &mut impl CryptoRng) -> Result<String, BundleError> {
        for text in [self.identifier, self.display_name, self.organization] {
            if let Some(c) = text.chars().find(|c| !in_xml(*c)) {
                return Err(BundleError::NotInXml(c));
            }
        }
        let root = match self.root {
            RootCertificate::Omitted => None,
            RootCertificate::Included(der) => Some(BASE64.encode(der)),
        };
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        // A misspelt name in somebody's template is an error, not a profile with a hole.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        Ok(environment.render_named_str(
            "mobileconfig.plist",
            template,
            context! {
                identifier => self.identifier,
                display_name => self.display_name,
                organization => self.organization,
                p12 => BASE64.encode(self.p12),
                issuing => BASE64.encode(self.issuing),
                root,
                uuid => context! {
                    profile => uuid(rng),
                    identity => uuid(rng),
                    issuing => uuid(rng),
                    root => uuid(rng),
                },
            },
        )?)
    }
}

/// A random UUID (version 4, RFC 9562 §5.4), in upper case as Apple's own tools write it.
fn uuid(rng: &mut impl CryptoRng) -> String {
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    let bits = u128::from_be_bytes(octets) & !(0xF << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032X}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Whether XML 1.0 has the character at all, escaped or not (XML 1.0 §2.2).
fn in_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::os_rng;

    const CONFIG: MobileConfig<'static> = MobileConfig {
        identifier: "pki.0a1b.alice.phone",
        display_name: "Alice",
        organization: "Acme Ltd",
        p12: b"bundle",
        issuing: b"issuing",
        root: RootCertificate::Omitted,
    };

    fn render(config: &MobileConfig<'_>) -> String {
        config.render(MobileConfig::TEMPLATE, &mut os_rng()).unwrap()
    }

    fn values<'t>(xml: &'t str, key: &str) -> Vec<&'t str> {
        let key = format!("<key>{key}</key>");
        xml.split(&key)
            .skip(1)
            .filter_map(|rest| rest.split(['<', '>']).nth(2))
            .collect()
    }

    #[test]
    fn a_profile_carries_the_root_only_when_asked() {
        let without = render(&CONFIG);
        assert_eq!(
            values(&without, "PayloadType"),
            [
                "Configuration",
                "com.apple.security.pkcs12",
                "com.apple.security.pkcs1"
            ]
        );
        let with = render(&MobileConfig {
            root: RootCertificate::Included(b"root"),
            ..CONFIG
        });
        assert_eq!(values(&with, "PayloadType")[3], "com.apple.security.root");
        assert!(with.contains(&BASE64.encode(b"root")));
    }

    #[test]
    fn a_renewal_keeps_the_identifiers_and_changes_every_uuid() {
        let (one, two) = (render(&CONFIG), render(&CONFIG));
        assert_eq!(
            values(&one, "PayloadIdentifier"),
            values(&two, "PayloadIdentifier")
        );
        assert_eq!(
            values(&one, "PayloadIdentifier")[1],
            "pki.0a1b.alice.phone.identity"
        );
        let mut uuids = [values(&one, "PayloadUUID"), values(&two, "PayloadUUID")].concat();
        uuids.sort_unstable();
        uuids.dedup();
        assert_eq!(uuids.len(), 6);
    }

    #[test]
    fn names_are_escaped_and_what_xml_cannot_say_is_refused() {
        let hostile = MobileConfig {
            display_name: "</string><key>Password</key>&",
            ..CONFIG
        };
        assert!(!render(&hostile).contains("<key>Password"));
        let impossible = MobileConfig {
            organization: "A\u{1b}",
            ..CONFIG
        };
        let refused = impossible.render(MobileConfig::TEMPLATE, &mut os_rng());
        assert!(matches!(refused, Err(BundleError::NotInXml('\u{1b}'))));
    }

    #[test]
    fn a_template_that_names_something_unknown_is_refused() {
        let refused = CONFIG.render("{{ passphrase }}", &mut os_rng());
        assert!(matches!(refused, Err(BundleError::Template(_))));
    }

    #[test]
    fn a_uuid_says_version_4_and_its_variant() {
        for _ in 0..50 {
            let uuid = uuid(&mut os_rng());
            assert_eq!(uuid.len(), 36);
            assert_eq!(&uuid[14..15], "4");
            assert!("89AB".contains(&uuid[19..20]), "{uuid}");
        }
    }
}
