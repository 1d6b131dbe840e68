//! The registered cipher suites, judged by rule: what is wrong with a suite follows from its name.

use std::sync::LazyLock;

/// A cipher suite as registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The number of the suite.
    pub number: u16,
    /// Its name in the registry, without `TLS_`.
    pub name: &'static str,
    /// The worst that is wrong with it.
    weakness: Option<Weakness>,
}

/// The weakness of a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// No encryption, no authentication, keys of export strength, RC2, RC4, DES, 3DES or MD5: an eavesdropper
    /// can read the traffic, or will be able to.
    Broken,
    /// Clients are authenticated by a password or a shared key (PSK, SRP, Kerberos) and need no certificate:
    /// another way into the server.
    OtherDoor,
    /// IDEA, SEED, MAGMA: blocks of 64 bits (SWEET32) or ciphers that nobody looks after (RFC 5469).
    Outdated,
    /// No forward secrecy: the session's key depends on the server's own key, and whoever gets that later can
    /// read all that was recorded (RFC 9325 §4.1).
    NoForwardSecrecy,
    /// What was changed on the way is noticed by 64 bits alone: meant for the smallest of devices (CCM_8, RFC
    /// 7251 §1).
    ShortTag,
    /// CBC, authenticated the wrong way round (RFC 7366 tells why): sound only in an implementation that
    /// makes no mistake.
    Cbc,
}

impl Weakness {
    /// All weaknesses, the worst first.
    pub const ALL: [Self; 6] = [
        Self::Broken,
        Self::OtherDoor,
        Self::Outdated,
        Self::NoForwardSecrecy,
        Self::ShortTag,
        Self::Cbc,
    ];

    /// The weakness in few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Broken => "no encryption, no authentication or a broken cipher",
            Self::OtherDoor => "a shared key or password in the place of a certificate",
            Self::Outdated => "an outdated cipher",
            Self::ShortTag => "a short authentication tag",
            Self::NoForwardSecrecy => "no forward secrecy",
            Self::Cbc => "CBC",
        }
    }
}

impl Suite {
    fn judged(number: u16, name: &'static str) -> Self {
        Self {
            number,
            name,
            weakness: weakness(name),
        }
    }

    /// The worst that is wrong with it.
    pub fn weakness(self) -> Option<Weakness> {
        self.weakness
    }

    /// Whether it is one of TLS 1.3, which no older version can have, nor the other way round. Those of RFC
    /// 9367 have the names of older ones.
    pub fn is_of_tls13(self) -> bool {
        is_of_tls13(self.name)
    }

    /// Whether its keys are agreed upon in a group of numbers that the server chooses (RFC 5246 §7.4.3).
    pub fn has_dhe(self) -> bool {
        self.name.starts_with("DHE_") || self.name.starts_with("DH_anon") || self.name.contains("PSK_DHE")
    }

    /// Whether its keys are agreed upon on a curve.
    pub fn has_ecdhe(self) -> bool {
        self.name.starts_with("ECDHE_") || self.name.starts_with("ECDH_anon")
    }
}

fn is_of_tls13(name: &str) -> bool {
    !name.contains("_WITH_") || name.contains("_MGM_")
}

/// The worst that is wrong with the suite of this name.
fn weakness(name: &str) -> Option<Weakness> {
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    // Those of TLS 1.3 name no key exchange: it is always ephemeral there.
    let exchanges = name.contains("_WITH_") && !is_of_tls13(name);
    // RFC 9150: the name is two hashes, and nothing is encrypted.
    let is_integrity_alone = name.starts_with("SHA");
    let broken = [
        "NULL",
        "anon",
        "EXPORT",
        "EXPORT1024",
        "RC2",
        "RC4",
        "DES",
        "DES40",
        "3DES",
        "MD5",
    ];
    if is_integrity_alone || has(&broken) {
        Some(Weakness::Broken)
    } else if has(&["PSK", "SRP", "KRB5", "ECCPWD"]) {
        Some(Weakness::OtherDoor)
    } else if has(&["IDEA", "SEED", "MAGMA", "28147"]) {
        Some(Weakness::Outdated)
    } else if exchanges && !has(&["DHE", "ECDHE"]) {
        Some(Weakness::NoForwardSecrecy)
    } else if has(&["CCM"]) && has(&["8"]) {
        Some(Weakness::ShortTag)
    } else if has(&["CBC"]) {
        Some(Weakness::Cbc)
    } else {
        None
    }
}

/// Every registered suite, judged once.
static REGISTERED: LazyLock<Vec<Suite>> = LazyLock::new(|| {
    let lines = include_str!("cipher-suites.txt").lines();
    lines
        .filter_map(|line| {
            let (number, name) = line.split_once(' ')?;
            let number = u16::from_str_radix(number, 16).ok()?;
            Some(Suite::judged(number, name))
        })
        .collect()
});

/// Every registered suite.
pub fn registered() -> impl Iterator<Item = Suite> {
    REGISTERED.iter().copied()
}

/// The name of a suite.
pub fn name(number: u16) -> String {
    match registered().find(|suite| suite.number == number) {
        Some(suite) => suite.name.to_owned(),
        None => format!("0x{number:04X}"),
    }
}

/// The suites that are offered to learn whether a version is spoken at all: all but those for which a server
/// needs somebody's password.
pub fn usual() -> Vec<u16> {
    // The good ones first: where the server leaves the choice to the client, the answer is one of them.
    let mut usual: Vec<(std::cmp::Reverse<u8>, u16)> = registered()
        .filter(|suite| suite.weakness() != Some(Weakness::OtherDoor))
        .map(|suite| {
            let goodness = suite.weakness().map_or(u8::MAX, |weakness| weakness as u8);
            (std::cmp::Reverse(goodness), suite.number)
        })
        .collect();
    usual.sort_unstable();
    usual.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weakness(name: &'static str) -> Option<Weakness> {
        let found = registered().find(|suite| suite.name == name);
        found.unwrap_or_else(|| panic!("{name} is registered")).weakness()
    }

    #[test]
    fn what_is_wrong_with_a_suite_follows_from_its_name() {
        use Weakness::{Broken, Cbc, NoForwardSecrecy, OtherDoor, Outdated, ShortTag};
        for (name, expected) in [
            ("AES_128_GCM_SHA256", None),
            ("AES_128_CCM_8_SHA256", Some(ShortTag)),
            ("SHA256_SHA256", Some(Broken)),
            ("SHA384_SHA384", Some(Broken)),
            ("SM4_GCM_SM3", None),
            ("ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", None),
            ("ECDHE_RSA_WITH_ARIA_128_GCM_SHA256", None),
            ("DHE_RSA_WITH_CAMELLIA_128_GCM_SHA256", None),
            ("ECDHE_ECDSA_WITH_AES_128_CCM_8", Some(ShortTag)),
            ("RSA_WITH_AES_128_CCM_8", Some(NoForwardSecrecy)),
            ("RSA_WITH_AES_128_CCM", Some(NoForwardSecrecy)),
            ("RSA_WITH_CAMELLIA_128_CBC_SHA256", Some(NoForwardSecrecy)),
            ("ECDH_ECDSA_WITH_AES_128_GCM_SHA256", Some(NoForwardSecrecy)),
            ("DH_RSA_WITH_AES_128_GCM_SHA256", Some(NoForwardSecrecy)),
            ("GOSTR341112_256_WITH_KUZNYECHIK_CTR_OMAC", Some(NoForwardSecrecy)),
            ("GOSTR341112_256_WITH_KUZNYECHIK_MGM_L", None),
            ("GOSTR341112_256_WITH_28147_CNT_IMIT", Some(Outdated)),
            ("DHE_RSA_WITH_SEED_CBC_SHA", Some(Outdated)),
            ("RSA_WITH_IDEA_CBC_SHA", Some(Outdated)),
            ("ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", Some(Broken)),
            ("DH_anon_WITH_CAMELLIA_256_CBC_SHA256", Some(Broken)),
            ("ECDHE_PSK_WITH_NULL_SHA384", Some(Broken)),
            ("RSA_EXPORT_WITH_DES40_CBC_SHA", Some(Broken)),
            ("KRB5_WITH_IDEA_CBC_MD5", Some(Broken)),
            ("KRB5_WITH_IDEA_CBC_SHA", Some(OtherDoor)),
            ("ECDHE_PSK_WITH_AES_128_GCM_SHA256", Some(OtherDoor)),
            ("SRP_SHA_RSA_WITH_AES_128_CBC_SHA", Some(OtherDoor)),
            ("ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256", Some(Cbc)),
        ] {
            assert_eq!(weakness(name), expected, "{name}");
        }
    }

    /// The rules above name words; this holds for every member of the register.
    #[test]
    fn what_is_not_found_wanting_is_ephemeral_and_authenticates_what_it_encrypts() {
        for suite in registered().filter(|suite| suite.weakness().is_none()) {
            let good = ["GCM", "CCM", "POLY1305", "MGM", "AEGIS"];
            assert!(
                good.iter().any(|mode| suite.name.contains(mode)),
                "{}",
                suite.name
            );
            let ephemeral = suite.is_of_tls13() || suite.has_dhe() || suite.has_ecdhe();
            assert!(ephemeral, "{}", suite.name);
        }
    }

    #[test]
    fn the_register_is_read_whole_and_each_number_stands_once() {
        let mut numbers: Vec<u16> = registered().map(|suite| suite.number).collect();
        let lines = include_str!("cipher-suites.txt").lines();
        assert_eq!(numbers.len(), lines.filter(|line| !line.starts_with('#')).count());
        assert!(numbers.len() > 350);
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        assert_eq!(name(0xc02b), "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(name(0xfefe), "0xFEFE");
        assert!(usual()[0] == 0x00c6 || name(usual()[0]).contains("GCM"));
    }
}
