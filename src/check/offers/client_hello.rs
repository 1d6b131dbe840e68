//! Encodes the ClientHello, the first message of a handshake, by hand: TLS libraries of today cannot offer
//! what a server should refuse.

use crate::check::client::version::Version;

/// The offer that is made to a server.
#[derive(Debug, Clone)]
pub struct ClientHello<'a> {
    /// The only version that is offered.
    pub version: Version,
    /// The cipher suites that are offered.
    pub suites: &'a [u16],
    /// The groups in which keys can be agreed upon.
    pub groups: &'a [u16],
    /// The methods of compression (RFC 3749); none is 0.
    pub compression: &'a [u8],
    /// On an open connection: the verify_data of the client's Finished in the handshake before (RFC 5746
    /// §3.5).
    pub renegotiates: Option<&'a [u8]>,
    /// The host that is asked for, where it is a name (RFC 6066 §3: an address is none).
    pub server_name: Option<&'a str>,
    /// 32 octets that are another time others.
    pub random: [u8; 32],
}

/// The list of compression methods that allows no compression.
pub const UNCOMPRESSED: [u8; 1] = [0];
/// RSA, DSA, ECDSA and EdDSA with every hash and curve that somebody may want, SHA-1 and MD5 for the old
/// ones.
const SIGNATURES: [u16; 26] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x081a, 0x081b,
    0x081c, 0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0402, 0x0302, 0x0203, 0x0201, 0x0101, 0x0202, 0x0708,
];
/// That renegotiation is secure, in a place that no old server stumbles over (RFC 5746 §3.3).
const RENEGOTIATION_INFO: u16 = 0x00ff;
const HANDSHAKE: u8 = 22;

impl ClientHello<'_> {
    /// The message in a record of its own (RFC 8446 §4.1.2 and §5.1, RFC 5246 §7.4.1.2).
    ///
    /// For TLS 1.3 no key share is offered, which makes the server answer with the version and suite that it
    /// has chosen, and ask for one (§4.1.4): no key is needed to learn that.
    pub fn record(&self) -> Vec<u8> {
        let mut record = vec![HANDSHAKE];
        // The first record says an older version, for servers that stumble over newer ones.
        let outer = self.version.min(Version::Tls10);
        record.extend(outer.number().to_be_bytes());
        record.extend(prefixed::<2>(&self.message()));
        record
    }

    /// The message alone, without the record around it.
    pub fn message(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(512);
        body.extend(self.version.min(Version::Tls12).number().to_be_bytes());
        body.extend(self.random);
        if self.version == Version::Tls13 {
            // As if a session of TLS 1.2 were resumed: what stands between expects that (appendix D.4).
            body.extend(prefixed::<1>(&self.random));
        } else {
            body.push(0);
        }
        let mut suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        if self.version != Version::Tls13 && self.renegotiates.is_none() {
            suites.extend(RENEGOTIATION_INFO.to_be_bytes());
        }
        body.extend(prefixed::<2>(&suites));
        body.extend(prefixed::<1>(self.compression));
        if self.version != Version::Ssl3 {
            body.extend(prefixed::<2>(&self.extensions()));
        }
        let mut message = vec![1];
        message.extend(prefixed::<3>(&body));
        message
    }

    fn extensions(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut add = |kind: u16, content: &[u8]| {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(prefixed::<2>(content));
        };
        let numbers = |list: &[u16]| -> Vec<u8> { list.iter().flat_map(|n| n.to_be_bytes()).collect() };
        if let Some(name) = self.server_name {
            let mut entry = vec![0];
            entry.extend(prefixed::<2>(name.as_bytes()));
            add(0, &prefixed::<2>(&entry));
        }
        add(10, &prefixed::<2>(&numbers(self.groups)));
        add(11, &prefixed::<1>(&[0]));
        if let Some(finished) = self.renegotiates {
            add(0xff01, &prefixed::<1>(finished));
            // What was agreed upon the first time may not be left out now (RFC 7627 §5.3).
            add(23, &[]);
        }
        match self.version {
            Version::Tls12 => add(13, &prefixed::<2>(&numbers(&SIGNATURES))),
            Version::Tls13 => {
                add(13, &prefixed::<2>(&numbers(&SIGNATURES)));
                add(43, &prefixed::<1>(&numbers(&[self.version.number()])));
                add(51, &prefixed::<2>(&[]));
            }
            Version::Ssl3 | Version::Tls10 | Version::Tls11 => {}
        }
        extensions
    }
}

/// A vector with its length before it, in `N` octets (RFC 8446 §3.4).
fn prefixed<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let mut vector = length[length.len() - N..].to_vec();
    vector.extend_from_slice(content);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: Version, suites: &[u16]) -> Vec<u8> {
        let hello = ClientHello {
            version,
            suites,
            groups: &[29, 23],
            compression: &UNCOMPRESSED,
            renegotiates: None,
            server_name: Some("api.acme.example"),
            random: [7; 32],
        };
        hello.record()
    }

    #[test]
    fn a_tls_library_reads_what_is_offered() {
        for (version, suites) in [(Version::Tls12, [0xc02b]), (Version::Tls13, [0x1301])] {
            let mut acceptor = rustls::server::Acceptor::default();
            acceptor.read_tls(&mut &hello(version, &suites)[..]).unwrap();
            let accepted = acceptor.accept().map_err(|(why, _)| why).unwrap().unwrap();
            let read = accepted.client_hello();
            assert_eq!(read.server_name(), Some("api.acme.example"));
            assert!(
                read.cipher_suites()
                    .iter()
                    .any(|suite| u16::from(*suite) == suites[0])
            );
        }
    }

    #[test]
    fn every_length_counts_what_follows_it() {
        for version in Version::ALL {
            let record = hello(version, &[0x002f, 0x0035]);
            assert_eq!(record[0], 22, "{version}");
            let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
            assert_eq!(length, record.len() - 5, "{version}");
            let length = usize::from(u16::from_be_bytes([record[7], record[8]]));
            assert_eq!(
                (record[5], record[6], length),
                (1, 0, record.len() - 9),
                "{version}"
            );
            let said = u16::from_be_bytes([record[9], record[10]]);
            assert_eq!(said, version.number().min(0x0303), "{version}");
        }
    }

    #[test]
    fn the_oldest_version_has_no_extensions() {
        let record = hello(Version::Ssl3, &[0x002f]);
        assert!(!record.windows(4).any(|part| part == b"acme"));
        assert_eq!(record[1..3], [3, 0]);
    }
}
