//! The cipher suites that a server should refuse, by what is wrong with them.

/// What is wrong with a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// No encryption, nobody authenticated, keys of export strength, RC4 or single DES: whoever listens reads along.
    Broken,
    /// 3DES, SEED, IDEA: blocks of 64 bits or ciphers that nobody looks after (RFC 8429, SWEET32).
    Outdated,
    /// The session's key is encrypted with the server's own: whoever gets that later reads all that was recorded (RFC 9325 §4.1).
    NoForwardSecrecy,
    /// CBC, authenticated the wrong way round (RFC 7366 tells why): sound only in an implementation that makes no mistake.
    Cbc,
}

impl Weakness {
    /// All, the worst first.
    pub const ALL: [Self; 4] = [Self::Broken, Self::Outdated, Self::NoForwardSecrecy, Self::Cbc];

    /// The suites that have it.
    pub fn suites(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Broken => BROKEN,
            Self::Outdated => OUTDATED,
            Self::NoForwardSecrecy => NO_FORWARD_SECRECY,
            Self::Cbc => CBC,
        }
    }

    /// What it is, in few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Broken => "no encryption, no authentication or a broken cipher",
            Self::Outdated => "an outdated cipher",
            Self::NoForwardSecrecy => "no forward secrecy",
            Self::Cbc => "CBC",
        }
    }
}

/// The name of a suite, in the register's words without `TLS_`.
pub fn name(suite: u16) -> String {
    let known = Weakness::ALL.into_iter().flat_map(Weakness::suites).chain(STRONG);
    match known.clone().find(|(number, _)| *number == suite) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("0x{suite:04X}"),
    }
}

/// Every suite that a server of these versions may have, for the question whether it speaks them at all.
pub fn all() -> Vec<u16> {
    // The good ones first: where the server leaves the choice to the client, the answer is one of them.
    let weak = Weakness::ALL.into_iter().rev().flat_map(Weakness::suites);
    STRONG.iter().chain(weak).map(|(number, _)| *number).collect()
}

/// Suites of today: forward secrecy and authenticated encryption.
pub const STRONG: &[(u16, &str)] = &[
    (0x1301, "AES_128_GCM_SHA256"),
    (0x1302, "AES_256_GCM_SHA384"),
    (0x1303, "CHACHA20_POLY1305_SHA256"),
    (0x1304, "AES_128_CCM_SHA256"),
    (0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc02c, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xc02f, "ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xcca8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0x009e, "DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009f, "DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xccaa, "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM"),
    (0xc0ad, "ECDHE_ECDSA_WITH_AES_256_CCM"),
];

const BROKEN: &[(u16, &str)] = &[
    (0x0001, "RSA_WITH_NULL_MD5"),
    (0x0002, "RSA_WITH_NULL_SHA"),
    (0x003b, "RSA_WITH_NULL_SHA256"),
    (0xc006, "ECDHE_ECDSA_WITH_NULL_SHA"),
    (0xc010, "ECDHE_RSA_WITH_NULL_SHA"),
    (0x0003, "RSA_EXPORT_WITH_RC4_40_MD5"),
    (0x0006, "RSA_EXPORT_WITH_RC2_CBC_40_MD5"),
    (0x0008, "RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0014, "DHE_RSA_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0017, "DH_anon_EXPORT_WITH_RC4_40_MD5"),
    (0x0019, "DH_anon_EXPORT_WITH_DES40_CBC_SHA"),
    (0x0018, "DH_anon_WITH_RC4_128_MD5"),
    (0x001a, "DH_anon_WITH_DES_CBC_SHA"),
    (0x001b, "DH_anon_WITH_3DES_EDE_CBC_SHA"),
    (0x0034, "DH_anon_WITH_AES_128_CBC_SHA"),
    (0x003a, "DH_anon_WITH_AES_256_CBC_SHA"),
    (0x006c, "DH_anon_WITH_AES_128_CBC_SHA256"),
    (0x006d, "DH_anon_WITH_AES_256_CBC_SHA256"),
    (0x00a6, "DH_anon_WITH_AES_128_GCM_SHA256"),
    (0x00a7, "DH_anon_WITH_AES_256_GCM_SHA384"),
    (0xc015, "ECDH_anon_WITH_NULL_SHA"),
    (0xc016, "ECDH_anon_WITH_RC4_128_SHA"),
    (0xc017, "ECDH_anon_WITH_3DES_EDE_CBC_SHA"),
    (0xc018, "ECDH_anon_WITH_AES_128_CBC_SHA"),
    (0xc019, "ECDH_anon_WITH_AES_256_CBC_SHA"),
    (0x0004, "RSA_WITH_RC4_128_MD5"),
    (0x0005, "RSA_WITH_RC4_128_SHA"),
    (0xc007, "ECDHE_ECDSA_WITH_RC4_128_SHA"),
    (0xc011, "ECDHE_RSA_WITH_RC4_128_SHA"),
    (0x0009, "RSA_WITH_DES_CBC_SHA"),
    (0x0015, "DHE_RSA_WITH_DES_CBC_SHA"),
];

const OUTDATED: &[(u16, &str)] = &[
    (0x000a, "RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0016, "DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc008, "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA"),
    (0xc012, "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0007, "RSA_WITH_IDEA_CBC_SHA"),
    (0x0096, "RSA_WITH_SEED_CBC_SHA"),
    (0x009a, "DHE_RSA_WITH_SEED_CBC_SHA"),
];

const NO_FORWARD_SECRECY: &[(u16, &str)] = &[
    (0x009c, "RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "RSA_WITH_AES_256_GCM_SHA384"),
    (0xc09c, "RSA_WITH_AES_128_CCM"),
    (0xc09d, "RSA_WITH_AES_256_CCM"),
    (0x002f, "RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "RSA_WITH_AES_256_CBC_SHA"),
    (0x003c, "RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "RSA_WITH_AES_256_CBC_SHA256"),
    (0x0041, "RSA_WITH_CAMELLIA_128_CBC_SHA"),
    (0x0084, "RSA_WITH_CAMELLIA_256_CBC_SHA"),
    (0xc050, "RSA_WITH_ARIA_128_GCM_SHA256"),
    (0xc051, "RSA_WITH_ARIA_256_GCM_SHA384"),
];

const CBC: &[(u16, &str)] = &[
    (0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc013, "ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc023, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc024, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xc027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc028, "ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
    (0x0033, "DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x0067, "DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x006b, "DHE_RSA_WITH_AES_256_CBC_SHA256"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_one_weakness_or_none() {
        let mut all = all();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(name(0xc02b), "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(name(0x0005), "RSA_WITH_RC4_128_SHA");
        assert_eq!(name(0xfefe), "0xFEFE");
    }
}
