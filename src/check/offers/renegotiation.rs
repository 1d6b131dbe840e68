//! Checks whether a client can have the server begin a new handshake on an open connection (RFC 5246
//! §7.4.1.2); a client that does so over and over keeps the server busy. No TLS library of today asks for
//! that, so that the second ClientHello is written by hand, and encrypted with the keys that the library has
//! agreed upon.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{
    ClientConnection, ConnectionTrafficSecrets, ContentType, KeyLog, ProtocolVersion, SupportedCipherSuite,
    Tls12CipherSuite,
};

use super::client_hello::{ClientHello, UNCOMPRESSED};
use super::groups;
use super::suites;
use crate::check::client::version::Version;
use crate::check::client::wire::{Server, Wire};
use crate::check::client::{Client, Identity, Sessions};

/// How long a server is waited for that says nothing to it: it has answered the first handshake within that
/// time.
const SILENCE: Duration = Duration::from_secs(2);
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO_DONE: u8 = 14;

/// Asks for a new handshake on a connection of TLS 1.2. True: the server begins one.
///
/// # Errors
/// Where no first handshake comes about.
pub fn ask(server: &Server, leaves: &[Vec<u8>], identity: Option<&Identity>) -> io::Result<bool> {
    let client = Client::new(&[Version::Tls12], identity, Some(leaves), Sessions::Fresh);
    let secret = Arc::new(MasterSecret::default());
    let mut config = client.config();
    config.alpn_protocols = Vec::new();
    config.key_log = Arc::clone(&secret) as _;
    config.enable_secret_extraction = true;
    let mut tls =
        ClientConnection::new(Arc::new(config), server.url.name().clone()).map_err(io::Error::other)?;
    let mut heard = Heard {
        wire: server.connect()?,
        sent: Vec::new(),
        received: Vec::new(),
    };
    while tls.is_handshaking() {
        tls.complete_io(&mut heard)?;
    }
    let Some(SupportedCipherSuite::Tls12(suite)) = tls.negotiated_cipher_suite() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let finished = heard
        .finished(suite, &secret.taken())
        .ok_or(io::ErrorKind::InvalidData)?;
    let suites = suites::usual();
    let groups = groups::usual(false);
    let name = server.url.dns_name();
    let hello = ClientHello {
        version: Version::Tls12,
        suites: &suites,
        groups: &groups,
        compression: &UNCOMPRESSED,
        renegotiates: Some(&finished),
        server_name: name.as_deref(),
        random: finished_random(&finished),
    };
    let record = encrypted(tls, suite, &hello.message())?;
    heard.wire.write_all(&record)?;
    heard.wire.again_within(SILENCE);
    let mut header = [0; 5];
    Ok(match heard.wire.read_exact(&mut header) {
        // The type of a record is never encrypted before TLS 1.3: a handshake goes on, an alert refuses.
        Ok(()) => header[0] == HANDSHAKE,
        // It leaves, or passes over what was asked.
        Err(_) => false,
    })
}

/// 32 octets for a hello that nobody completes.
fn finished_random(finished: &[u8; 12]) -> [u8; 32] {
    std::array::from_fn(|place| finished[place % finished.len()])
}

fn encrypted(tls: ClientConnection, suite: &Tls12CipherSuite, message: &[u8]) -> io::Result<Vec<u8>> {
    let (sequence, secrets) = tls.dangerous_extract_secrets().map_err(io::Error::other)?.tx;
    let (key, iv, fixed) = match secrets {
        // Of the nonce, four octets are agreed upon, and eight are sent (RFC 5288 §3).
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } | ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            (key, iv, 4)
        }
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv, 12),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let (fixed, explicit) = iv.as_ref().split_at(fixed);
    let plain = OutboundPlainMessage {
        typ: ContentType::Handshake,
        version: ProtocolVersion::TLSv1_2,
        payload: OutboundChunks::Single(message),
    };
    let mut encrypter = suite.aead_alg.encrypter(key, fixed, explicit);
    let record = encrypter.encrypt(plain, sequence).map_err(io::Error::other)?;
    Ok(record.encode())
}

/// The secret of a connection of TLS 1.2, as the library tells it.
#[derive(Debug, Default)]
struct MasterSecret(Mutex<Vec<u8>>);

impl MasterSecret {
    fn taken(&self) -> Vec<u8> {
        self.0
            .lock()
            .map(|mut secret| std::mem::take(&mut *secret))
            .unwrap_or_default()
    }
}

impl KeyLog for MasterSecret {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if let (true, Ok(mut kept)) = (label == "CLIENT_RANDOM", self.0.lock()) {
            *kept = secret.to_vec();
        }
    }
}

/// A connection of which everything is heard that passes over it.
struct Heard {
    wire: Wire,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Heard {
    /// What the client's Finished said, which a new ClientHello has to repeat (RFC 5246 §7.4.9, RFC 5746
    /// §3.5).
    fn finished(&self, suite: &Tls12CipherSuite, secret: &[u8]) -> Option<[u8; 12]> {
        let sent = handshake(&self.sent);
        let received = handshake(&self.received);
        // The client's first message, all of the server's until it is the client's turn, and the rest of the
        // client's.
        let hello = message_ends(&sent)?.first().copied()?;
        let mut begin = 0;
        let mut done = None;
        for end in message_ends(&received)? {
            if received.get(begin) == Some(&SERVER_HELLO_DONE) {
                done = Some(end);
                break;
            }
            begin = end;
        }
        let transcript = [&sent[..hello], received.get(..done?)?, &sent[hello..]].concat();
        let hash = suite.common.hash_provider.hash(&transcript);
        let mut finished = [0; 12];
        suite
            .prf_provider
            .for_secret(&mut finished, secret, b"client finished", hash.as_ref());
        Some(finished)
    }
}

/// The content of the records of a handshake, as long as nothing is encrypted.
fn handshake(mut records: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((part, behind)) = rest.split_at_checked(length) else {
            break;
        };
        match *kind {
            CHANGE_CIPHER_SPEC => break,
            HANDSHAKE => content.extend_from_slice(part),
            _ => {}
        }
        records = behind;
    }
    content
}

/// Where each message ends.
fn message_ends(content: &[u8]) -> Option<Vec<usize>> {
    let mut ends = Vec::new();
    let mut place = 0;
    while let Some([_, a, b, c]) = content.get(place..place + 4) {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
        place += 4 + length;
        ends.push(place);
    }
    (ends.last() == Some(&content.len())).then_some(ends)
}

impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.wire.read(buffer)?;
        self.received.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl Write for Heard {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.wire.write(buffer)?;
        self.sent.extend_from_slice(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_from_records_however_they_are_cut() {
        let messages = [1, 0, 0, 2, 9, 9, 14, 0, 0, 0];
        for cut in [1, 3, 10] {
            let mut records = Vec::new();
            for part in messages.chunks(cut) {
                records.extend([22, 3, 3, 0, u8::try_from(part.len()).unwrap()]);
                records.extend(part);
            }
            records.extend([20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 1, 7]);
            assert_eq!(handshake(&records), messages, "{cut}");
        }
        assert_eq!(message_ends(&messages), Some(vec![6, 10]));
        assert_eq!(message_ends(&messages[..9]), None);
        assert_eq!(message_ends(&[1, 0, 0, 9, 1]), None);
    }
}
