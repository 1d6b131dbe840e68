//! Parses a server's answer to the ClientHello by hand, with every length checked, because the server is not
//! trusted.

use std::io::Read;

use super::suites;
use crate::check::client::version::Version;

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It accepted the offer.
    Accepted(Accepted),
    /// It refused by an alert of this description (RFC 8446 §6), or closed the connection.
    Refused(Option<u8>),
    /// Its answer is not TLS.
    NotTls,
}

/// The parts of the offer that it accepted, and what it sent with that before it was the client's turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The version that it chose.
    pub version: u16,
    /// The cipher suite that it chose.
    pub suite: u16,
    /// The method of compression that it chose.
    pub compression: u8,
    /// Whether it supports safe renegotiation (RFC 5746). TLS 1.3 does not renegotiate.
    pub renegotiates_safely: bool,
    /// Its own certificate, DER. It is not proved by this that the server holds the key.
    pub leaf: Option<Vec<u8>>,
    /// The group in which keys are agreed upon.
    pub group: Option<Group>,
}

/// The group in which keys are agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The integers modulo a prime of so many bits.
    Prime(usize),
    /// A curve by its number.
    Curve(u16),
}

/// The extent to which an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The ServerHello alone: what the server chose.
    Hello,
    /// All that comes before the client's turn: certificate and group. Before TLS 1.3 nothing of that is
    /// encrypted.
    Flight,
}

/// The most that is read of one answer.
const LONGEST: usize = 1 << 18;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_HELLO_DONE: u8 = 14;
/// The extension in which TLS 1.3 says its version (RFC 8446 §4.2.1).
const SUPPORTED_VERSIONS: u16 = 43;
/// RFC 5746 §3.2.
const RENEGOTIATION_INFO: u16 = 0xff01;

/// Reads the answer of a server to this extent.
///
/// # Errors
/// Where the connection fails, a deadline included. One that is closed or reset is a refusal.
pub fn read(source: &mut impl Read, extent: Extent) -> std::io::Result<Answer> {
    use std::io::ErrorKind as Kind;
    let mut messages = Messages::of(source);
    let mut accepted = match messages.next() {
        Ok(Next::Message(SERVER_HELLO, body)) => match hello(Octets(&body)) {
            Some(accepted) => accepted,
            None => return Ok(Answer::NotTls),
        },
        Ok(Next::Message(..) | Next::Foreign) => return Ok(Answer::NotTls),
        Ok(Next::Alert(description)) => return Ok(Answer::Refused(Some(description))),
        Err(error)
            if [
                Kind::UnexpectedEof,
                Kind::ConnectionReset,
                Kind::ConnectionAborted,
                Kind::BrokenPipe,
            ]
            .contains(&error.kind()) =>
        {
            return Ok(Answer::Refused(None));
        }
        Err(error) => return Err(error),
    };
    if extent == Extent::Flight && accepted.version != Version::Tls13.number() {
        // What cannot be read any further says no more: that the offer was taken stands.
        while let Ok(Next::Message(kind, body)) = messages.next() {
            let body = Octets(&body);
            match kind {
                CERTIFICATE => accepted.leaf = leaf(body),
                SERVER_KEY_EXCHANGE => accepted.group = group(body, accepted.suite),
                SERVER_HELLO_DONE => break,
                _ => {}
            }
        }
    }
    Ok(Answer::Accepted(accepted))
}

/// What comes next of a server.
enum Next {
    /// A message of a handshake: its type and content.
    Message(u8, Vec<u8>),
    /// An alert that ends it.
    Alert(u8),
    /// No TLS.
    Foreign,
}

/// The messages of a handshake, which may be cut over several records (RFC 8446 §5.1), or share one.
struct Messages<'a, R> {
    source: &'a mut R,
    pending: Vec<u8>,
    read: usize,
}

impl<'a, R: Read> Messages<'a, R> {
    fn of(source: &'a mut R) -> Self {
        Self {
            source,
            pending: Vec::new(),
            read: 0,
        }
    }

    fn next(&mut self) -> std::io::Result<Next> {
        loop {
            if let Some(message) = self.whole() {
                return Ok(message);
            }
            let mut header = [0; 5];
            self.source.read_exact(&mut header)?;
            let [kind, major, _, high, low] = header;
            let length = usize::from(u16::from_be_bytes([high, low]));
            self.read += length;
            let is_tls = [ALERT, HANDSHAKE].contains(&kind) && major == 3;
            if !is_tls || length == 0 || length > 18_432 || self.read > LONGEST {
                return Ok(Next::Foreign);
            }
            let mut content = vec![0; length];
            self.source.read_exact(&mut content)?;
            match (kind, content.as_slice()) {
                // A warning, such as unrecognized_name, goes before an answer; close_notify is none.
                (ALERT, [1, description]) if *description != 0 => {}
                (ALERT, [_, description, ..]) => return Ok(Next::Alert(*description)),
                (ALERT, _) => return Ok(Next::Foreign),
                (_, content) => self.pending.extend_from_slice(content),
            }
        }
    }

    /// The next message, once it is there as a whole.
    fn whole(&mut self) -> Option<Next> {
        let mut rest = Octets(&self.pending);
        let kind = rest.number::<1>()?;
        let length = rest.number::<3>()?;
        if length > LONGEST {
            return Some(Next::Foreign);
        }
        let body = rest.take(length)?.to_vec();
        self.pending.drain(..4 + length);
        Some(Next::Message(u8::try_from(kind).ok()?, body))
    }
}

/// RFC 5246 §7.4.1.3, RFC 8446 §4.1.3.
fn hello(mut body: Octets<'_>) -> Option<Accepted> {
    let mut accepted = Accepted {
        version: body.short()?,
        ..Accepted::default()
    };
    body.take(32)?;
    let session = body.number::<1>()?;
    body.take(session)?;
    accepted.suite = body.short()?;
    accepted.compression = u8::try_from(body.number::<1>()?).ok()?;
    // Before TLS 1.2 there need be none.
    if !body.0.is_empty() {
        let length = body.number::<2>()?;
        let mut extensions = Octets(body.take(length)?);
        while !extensions.0.is_empty() {
            let kind = extensions.short()?;
            let length = extensions.number::<2>()?;
            let mut content = Octets(extensions.take(length)?);
            match kind {
                SUPPORTED_VERSIONS => accepted.version = content.short()?,
                RENEGOTIATION_INFO => accepted.renegotiates_safely = true,
                _ => {}
            }
        }
    }
    Version::of(accepted.version)?;
    Some(accepted)
}

/// RFC 5246 §7.4.2.
fn leaf(mut body: Octets<'_>) -> Option<Vec<u8>> {
    body.number::<3>()?;
    let length = body.number::<3>()?;
    body.take(length).map(<[u8]>::to_vec)
}

/// RFC 5246 §7.4.3 and RFC 8422 §5.4. What stands before the group with a shared key is a hint (RFC 4279 §2).
fn group(mut body: Octets<'_>, suite: u16) -> Option<Group> {
    let suite = suites::registered().find(|registered| registered.number == suite)?;
    if suite.name.contains("PSK") {
        let hint = body.number::<2>()?;
        body.take(hint)?;
    }
    if suite.has_dhe() {
        let length = body.number::<2>()?;
        let prime = body.take(length)?;
        let zeros = prime.iter().take_while(|octet| **octet == 0).count();
        let first = prime.get(zeros)?;
        let bits = (prime.len() - zeros) * 8 - first.leading_zeros() as usize;
        return Some(Group::Prime(bits));
    }
    match (suite.has_ecdhe(), body.number::<1>()?) {
        (true, 3) => body.short().map(Group::Curve),
        // A curve that is written out, over a prime or a binary field.
        (true, 1) => Some(Group::Curve(0xff01)),
        (true, 2) => Some(Group::Curve(0xff02)),
        (true | false, _) => None,
    }
}

/// What is left to be read.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<usize> {
        let octets = self.take(N)?;
        Some(
            octets
                .iter()
                .fold(0, |number, octet| number << 8 | usize::from(*octet)),
        )
    }

    fn short(&mut self) -> Option<u16> {
        self.number::<2>().and_then(|number| number.try_into().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// A ServerHello with a session identifier and the version where TLS 1.3 has it, in records of at most
    /// `cut` octets.
    fn records(version: u16, suite: u16, cut: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([9; 32]);
        body.extend([2, 1, 1]);
        body.extend(suite.to_be_bytes());
        body.push(0);
        let mut extensions = vec![0xff, 0x01, 0, 1, 0];
        extensions.extend([0, 43, 0, 2]);
        extensions.extend(version.to_be_bytes());
        body.extend([0, u8::try_from(extensions.len()).unwrap()]);
        body.extend(extensions);
        let mut message = vec![2, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut records = Vec::new();
        for part in message.chunks(cut) {
            records.extend([22, 3, 3, 0, u8::try_from(part.len()).unwrap()]);
            records.extend(part);
        }
        records
    }

    #[test]
    fn an_offer_that_was_taken_says_version_and_suite_however_it_is_cut() {
        for cut in [1, 3, 7, 200] {
            let read = read(&mut &records(0x0304, 0x1302, cut)[..], Extent::Hello).unwrap();
            let taken = Answer::Accepted(Accepted {
                version: 0x0304,
                suite: 0x1302,
                renegotiates_safely: true,
                ..Accepted::default()
            });
            assert_eq!(read, taken, "{cut}");
        }
    }

    #[test]
    fn an_alert_or_a_closed_connection_is_a_refusal() {
        let alert = [21, 3, 3, 0, 2, 2, 70];
        assert_eq!(
            read(&mut &alert[..], Extent::Flight).unwrap(),
            Answer::Refused(Some(70))
        );
        assert_eq!(
            read(&mut &alert[..3], Extent::Flight).unwrap(),
            Answer::Refused(None)
        );
        assert_eq!(
            read(&mut &b""[..], Extent::Flight).unwrap(),
            Answer::Refused(None)
        );
    }

    /// What a server of TLS 1.2 says before it is the client's turn.
    fn flight(suite: u16, exchange: &[u8]) -> Vec<u8> {
        let mut records = records(0x0303, suite, 200);
        for (kind, body) in [(11, &[0, 0, 5, 0, 0, 2, 0x30, 0][..]), (12, exchange), (14, &[])] {
            let length = u8::try_from(body.len()).unwrap();
            records.extend([22, 3, 3, 0, length + 4, kind, 0, 0, length]);
            records.extend(body);
        }
        records
    }

    #[test]
    fn a_group_is_read_from_what_the_server_sends_unasked() {
        let dhe_rsa = 0x009e;
        let ecdhe_psk = 0xd001;
        for (suite, exchange, group) in [
            (
                dhe_rsa,
                &[0, 3, 0, 0x7f, 1, 0, 1, 2, 0, 1, 9][..],
                Some(Group::Prime(15)),
            ),
            (0xc02b, &[3, 0, 19, 1, 4], Some(Group::Curve(19))),
            (0xc02b, &[1, 9, 9], Some(Group::Curve(0xff01))),
            (ecdhe_psk, &[0, 2, 9, 9, 3, 0, 23, 1, 4], Some(Group::Curve(23))),
            (dhe_rsa, &[0, 9, 1], None),
        ] {
            let Answer::Accepted(read) = read(&mut &flight(suite, exchange)[..], Extent::Flight).unwrap()
            else {
                panic!("{suite:04x}");
            };
            assert_eq!(read.group, group, "{suite:04x}");
            assert_eq!(read.leaf.as_deref(), Some(&[0x30, 0][..]));
        }
    }

    #[test]
    fn a_warning_goes_before_an_answer() {
        let unrecognized_name = [21, 3, 3, 0, 2, 1, 112];
        let both = [&unrecognized_name[..], &records(0x0303, 0xc02b, 200)].concat();
        assert!(matches!(
            read(&mut &both[..], Extent::Hello).unwrap(),
            Answer::Accepted(_)
        ));
        let close_notify = [21, 3, 3, 0, 2, 1, 0];
        assert_eq!(
            read(&mut &close_notify[..], Extent::Hello).unwrap(),
            Answer::Refused(Some(0))
        );
    }

    #[test]
    fn another_protocol_is_not_taken_for_tls() {
        for said in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9.2\r\n",
            &[0; 64],
        ] {
            assert_eq!(read(&mut &said[..], Extent::Flight).unwrap(), Answer::NotTls);
        }
    }

    #[test]
    fn a_message_without_an_end_is_not_read_for_ever() {
        // Records of one octet each, of a message that claims to be longer than any.
        let records = std::iter::once(2)
            .chain([0, 0xff])
            .chain(std::iter::repeat_n(0xff, LONGEST));
        let octets: Vec<u8> = records.flat_map(|octet| [22, 3, 3, 0, 1, octet]).collect();
        assert_eq!(read(&mut &octets[..], Extent::Flight).unwrap(), Answer::NotTls);
    }
}
